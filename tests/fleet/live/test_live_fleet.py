"""What a row shows after messages, and what viewers are sent of it."""

from dataclasses import replace
from typing import Any

from agent.core.protocol import payloads
from agent.fleet.collector.batch import Committed
from agent.fleet.live.live_fleet import Changes, LiveFleet
from agent.fleet.live.row import HostRow, StandingAlert
from tests.support import live as make
from tests.support.live import BOOT, batch, committed, fleet
from tests.support.messages import make_decision, make_inventory_image, make_last_decision, make_outcome
from tests.support.times import DAY, HOUR, MINUTE, SECOND, START

NOW = int(START.timestamp() * 1000)
MINUTE_MS = 60_000
NOTHING = Changes(rows=[], gone=[], alerts=[], ended=[], decisions=[])


def row(made: LiveFleet, host: str = "gpu-07") -> HostRow:
    found = made.row(host)
    assert found is not None
    return found


def sent(made: LiveFleet, since: int) -> Changes:
    changes = made.changes(since)
    assert changes is not None
    return changes


def hosts(made: LiveFleet, since: int) -> list[str]:
    return [found.host for found in sent(made, since).rows]


def test_a_row_has_what_status_info_inventory_and_alerts_say() -> None:
    disk = payloads.Disk(total_bytes=1000, used_bytes=900, reclaimable_bytes=70)
    made = fleet(
        make.status(),
        make.info(version="0.9.1", policy={"pressure": {"high": 0.8}}, paused={"until": None, "reason": ""}),
        make.inventory(make_inventory_image(), disk=disk, left_out=4),
        make.alert(severity="critical"),
        make.alert("other"),
    )
    assert row(made) == HostRow(
        host="gpu-07",
        state="online",
        mode="enforce",
        paused=True,
        version="0.9.1",
        last_seen=NOW,
        images=5,
        images_left_out=4,
        disk_used_bytes=900,
        disk_total_bytes=1000,
        high=0.8,
        reclaimable_bytes=70,
        warnings=1,
        criticals=1,
    )


def test_a_limit_that_is_no_share_is_unknown() -> None:
    wrong: tuple[object, ...] = ("0.8", 80, float("nan"), None, {})
    for high in wrong:
        assert row(fleet(make.info(policy={"pressure": {"high": high}}))).high is None
    assert row(fleet(make.info(policy={"pressure": []}))).high is None


def test_a_host_is_stale_after_three_minutes_without_a_sign_and_online_again_with_one() -> None:
    made = fleet(make.status())
    made.tick(START + 3 * MINUTE)
    assert row(made).state == "online"
    made.tick(START + 3 * MINUTE + SECOND)
    assert row(made).state == "stale"
    made.apply(batch(make.seen(at=START + 4 * MINUTE), at=START + 4 * MINUTE), Committed())
    assert row(made).state == "online"
    made.tick(START + 8 * MINUTE)
    assert row(made).state == "stale"


def test_signs_of_life_keep_a_host_online() -> None:
    made = fleet(make.status())
    for minute in range(1, 10):
        at = START + minute * MINUTE
        made.apply(batch(make.seen(at=at), at=at), Committed())
        made.tick(at)
        assert row(made).state == "online"


def test_an_old_retained_status_is_stale_at_once() -> None:
    change = replace(make.status(at=START - HOUR, retain=True), at=START)
    made = fleet(change)
    assert (row(made).state, row(made).last_seen) == ("stale", NOW - 60 * MINUTE_MS)


def test_a_goodbye_makes_a_host_offline_since_it_was_written() -> None:
    made = fleet(make.status())
    change = replace(make.status(state="offline", at=START - MINUTE), at=START + MINUTE)
    made.apply(batch(change, at=START + MINUTE), Committed())
    assert (row(made).state, row(made).last_seen) == ("offline", NOW)
    made.tick(START + HOUR)
    assert row(made).state == "offline"


def test_rows_of_the_last_run_are_unknown_until_a_status_comes() -> None:
    before = HostRow(host="gpu-07", state="online", version="0.9", images=3, warnings=2, criticals=1, regrets_30d=4)
    made = LiveFleet(BOOT, [before])
    assert row(made) == replace(before, state="unknown", warnings=0, criticals=0)
    made.apply(batch(make.status()), Committed())
    assert row(made).state == "online"


def test_the_next_eviction_is_the_first_deadline_of_what_is_neither_kept_nor_held() -> None:
    def image(number: int, **fields: Any) -> payloads.InventoryImage:
        return make_inventory_image(f"sha256:{number}", **fields)

    made = fleet(
        make.info(),
        make.inventory(
            image(1, reason="recent", deadline=START + 3 * DAY),
            image(2, reason="in-use", deadline=START + DAY),
            image(3, reason="idle-ttl", action="evict", held_by="window", deadline=START - DAY),
            image(4, reason="min-age", deadline=START + 2 * DAY),
            image(5, reason="of a newer agent", deadline=START + DAY),
        ),
    )
    assert row(made).next_eviction == int((START + 2 * DAY).timestamp() * 1000)


def test_a_host_that_only_observes_evicts_nothing_next() -> None:
    made = fleet(make.inventory(make_inventory_image(deadline=START + DAY)), make.info(mode="observe"))
    assert row(made).next_eviction is None
    made.apply(batch(make.info(mode="enforce")), Committed())
    assert row(made).next_eviction == int((START + DAY).timestamp() * 1000)


def test_a_decision_is_pending_until_its_outcome() -> None:
    made = fleet(make.status())
    made.apply(batch(events=[make_decision(at=START)]), committed(1))
    assert (row(made).last_decision_at, row(made).last_outcome) == (NOW, None)
    made.apply(batch(events=[make_outcome(at=START + SECOND, measured_bytes=7)]), committed(1))
    assert (row(made).last_decision_at, row(made).last_outcome) == (NOW, "removed")
    assert row(made).freed_24h_bytes == 7


def test_an_outcome_without_measured_bytes_counts_the_estimate_of_its_decision() -> None:
    made = fleet(make.status())
    made.apply(batch(events=[make_decision(estimated_bytes=5), make_outcome(measured_bytes=None)]), committed(1))
    refused = make_outcome(4, "d2", outcome="refused", measured_bytes=None)
    made.apply(batch(events=[make_decision(3, "d2", estimated_bytes=9), refused]), committed(2))
    assert (row(made).freed_24h_bytes, row(made).last_outcome) == (5, "refused")


def test_events_that_are_sent_again_do_not_replace_later_ones() -> None:
    last = make_last_decision("d9", START, outcome="failed")
    made = fleet(make.inventory(decisions=(last, make_last_decision("d8", START - DAY))))
    made.apply(batch(events=[make_decision(at=START - HOUR), make_outcome(at=START - HOUR)]), committed(1))
    assert (row(made).last_decision_at, row(made).last_outcome) == (NOW, "removed")


def test_regrets_and_figures_of_the_history_are_shown() -> None:
    made = fleet(make.status("a"), make.status("b"))
    made.apply(batch(), committed(host="a", regrets=2))
    assert row(made, "a").regrets_30d == 2
    made.tick(START)
    made.set_figures({"a": 30}, {"a": 2})
    made.tick(START)
    assert (row(made, "a").freed_24h_bytes, row(made, "a").regrets_30d) == (30, 2)
    assert hosts(made, made.position.tick - 1) == ["a"]  # b has neither, as before


def test_a_tick_without_changes_is_none() -> None:
    made = fleet(make.status())
    before = made.position
    assert not made.tick(START + SECOND)
    assert (made.position, sent(made, before.tick)) == (before, NOTHING)


def test_viewers_get_the_latest_row_of_each_host_that_changed_since_their_tick() -> None:
    made = fleet(make.status("a"), make.status("b"), make.status("c"))
    first = made.position.tick
    for version in ("1", "2"):
        made.apply(batch(make.info("b", version=version)), Committed())
        made.tick(START)
    made.apply(batch(make.info("c", version="3")), Committed())
    made.tick(START)
    assert [(found.host, found.version) for found in sent(made, first).rows] == [("c", "3"), ("b", "2")]
    assert hosts(made, made.position.tick - 1) == ["c"]
    assert sorted(hosts(made, 0)) == ["a", "b", "c"]


def test_a_sign_of_life_alone_is_sent_only_when_the_sent_one_is_old() -> None:
    made = fleet(make.status())
    for second in (30, 60, 90, 119):
        at = START + second * SECOND
        made.apply(batch(make.seen(at=at), at=at), Committed())
        assert not made.tick(at)
        assert row(made).last_seen == NOW + second * 1000
    at = START + 120 * SECOND
    made.apply(batch(make.seen(at=at), at=at), Committed())
    assert made.tick(at)


def test_a_host_without_any_topic_is_gone_and_viewers_are_told_for_an_hour() -> None:
    made = fleet(make.status(), make.info(), make.inventory(), make.alert())
    tick = made.position.tick
    made.apply(batch(*make.cleared()), Committed())
    assert row(made).host == "gpu-07"  # its alert is left
    made.apply(batch(make.no_alert()), Committed())
    made.tick(START)
    assert made.rows() == []
    assert sent(made, tick) == replace(NOTHING, gone=["gpu-07"], ended=[(("gpu-07", "disk"), NOW)])
    made.tick(START + HOUR + SECOND)
    assert made.changes(tick) is None
    assert sent(made, made.position.tick) == NOTHING


def test_a_host_that_comes_back_is_no_longer_gone() -> None:
    made = fleet(make.status())
    tick = made.position.tick
    made.apply(batch(*make.cleared()), Committed())
    made.tick(START)
    made.apply(batch(make.status()), Committed())
    made.tick(START)
    assert (hosts(made, tick), sent(made, tick).gone) == (["gpu-07"], [])


def test_topics_of_an_unknown_host_that_are_cleared_make_no_row() -> None:
    assert fleet(*make.cleared(), make.no_alert()).rows() == []


def test_alerts_are_told_when_they_begin_change_and_end() -> None:
    made = fleet(make.status(), make.alert())
    begin = StandingAlert(host="gpu-07", id="disk", severity="warning", message="nearly full", since=NOW)
    assert (made.alerts(), sent(made, 0).alerts) == ([begin], [begin])
    tick = made.position.tick
    made.apply(batch(make.alert(message="full")), Committed())
    made.tick(START)
    assert sent(made, tick).alerts == [replace(begin, message="full")]
    tick = made.position.tick
    made.apply(batch(make.no_alert(at=START + MINUTE)), Committed())
    made.tick(START)
    assert sent(made, tick).ended == [(("gpu-07", "disk"), NOW + MINUTE_MS)]
    assert (made.alerts(), row(made).warnings) == ([], 0)


def test_the_critical_alerts_come_first_and_then_the_oldest() -> None:
    made = fleet(
        make.alert("w", at=START - DAY), make.alert("new", severity="critical"),
        make.alert("old", severity="critical", at=START - HOUR),
    )  # fmt: skip
    assert [found.id for found in made.alerts()] == ["old", "new", "w"]


def test_a_host_cannot_have_any_number_of_alerts() -> None:
    made = fleet(*(make.alert(f"a{number}", message="m" * 3000) for number in range(150)))
    assert (row(made).warnings, len(made.alerts()[0].message)) == (100, 2000)


def test_decisions_are_told_when_written_and_when_their_outcome_is() -> None:
    made = fleet(make.status())
    tick = made.position.tick
    made.apply(batch(events=[make_decision()]), committed(5))
    assert (made.position.decision, sent(made, tick).decisions) == (0, [])  # the tick is open
    made.tick(START)
    assert (made.position.decision, sent(made, tick).decisions) == (5, [5])
    made.apply(batch(events=[make_outcome()]), committed(5))
    made.tick(START)
    assert (made.position.decision, sent(made, made.position.tick - 1).decisions) == (5, [5])


def test_a_tick_of_the_future_and_one_of_before_what_is_remembered_are_unknown() -> None:
    made = fleet(make.status())
    assert made.changes(made.position.tick + 1) is None
    tick = made.position.tick
    made.apply(batch(), committed(*range(1, 10_002)))
    made.tick(START)
    made.tick(START)
    assert made.changes(tick) is None


def test_made_up_numbers_and_texts_stay_within_bounds() -> None:
    huge, long = 10**4000, "v" * 100_000
    disk = payloads.Disk(total_bytes=3, used_bytes=huge, reclaimable_bytes=-huge)
    last = make_last_decision(outcome=long, estimated_bytes=huge)
    made = fleet(make.info(version=long), make.inventory(disk=disk, left_out=huge, decisions=(last,)))
    made.apply(batch(events=[make_decision(at=START), make_outcome(at=START, measured_bytes=huge)]), committed(1))
    found = row(made)
    assert (found.disk_used_bytes, found.reclaimable_bytes, found.freed_24h_bytes) == (10**15, -(10**15), 10**15)
    assert (found.images, found.version) == (2**31 - 1, "v" * 63 + "…")
    assert made.totals().over_high == 1
    before = fleet(make.inventory(decisions=(last,)))
    assert row(before).last_outcome == "v" * 63 + "…"


def test_totals_leave_out_hosts_that_are_offline() -> None:
    def disk(used: int) -> payloads.Disk:
        return payloads.Disk(total_bytes=100, used_bytes=used, reclaimable_bytes=used // 10)

    made = fleet(
        make.status("on"), make.info("on"), make.inventory(host="on", disk=disk(90), left_out=3),
        make.status("own"), make.info("own", policy={"pressure": {"high": 0.5}}),
        make.inventory(host="own", disk=disk(60)),
        make.status("off", state="offline"), make.inventory(host="off", disk=disk(99), left_out=9),
        make.info("who", mode="observe"),
        make.alert(host="on", severity="critical"), make.alert("x", host="off"),
    )  # fmt: skip
    found = made.totals()
    assert found.hosts == {"online": 2, "stale": 0, "offline": 1, "unknown": 1}
    assert (found.images, found.disk_used_bytes, found.disk_total_bytes) == (3, 150, 200)
    assert (found.reclaimable_bytes, found.reclaimable_hosts, found.observing, found.paused) == (15, 2, 1, 0)
    assert (found.over_high, found.own_high) == (2, 1)
    assert (found.alerts, found.critical_alerts, found.critical_by_id) == (2, 1, {"disk": 1})
