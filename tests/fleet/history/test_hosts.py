"""The rows of hosts and alerts, and what a monitor loads when it starts."""

import json
from datetime import datetime
from typing import Any

from agent.core.protocol import payloads
from agent.fleet.collector.batch import Incoming
from agent.fleet.history import times
from agent.fleet.history.tables import alerts, hosts, policies
from agent.fleet.live.row import HostRow
from tests.support import history, messages
from tests.support.history import Collector, event
from tests.support.times import DAY, HOUR, MINUTE, START

NOW = times.to_ms(START)


def info(**fields: Any) -> Incoming:
    return history.message("info", messages.make_info().model_copy(update=fields))


def status(state: str, at: datetime = START, *, arrives: datetime = START, retain: bool = False) -> Incoming:
    return history.message("status", messages.make_status(state, at=at), at=arrives, retain=retain)


async def test_an_info_fills_in_the_agent_and_hosts_share_the_row_of_a_policy(collector: Collector) -> None:
    policy = {"ttl": "14d", "pressure": {"high": 0.85}}
    made = messages.make_info().model_copy(update={"policy": policy, "engine": {"version": "26.1"}})
    await collector.receive(history.message("info", made), history.message("info", made, host="gpu-08"))
    names = ("agent_id", "version", "mode", "engine", "started")
    first, second = await history.rows(collector.database, hosts, *names, "policy_digest")
    assert first == second
    (shared,) = await history.rows(collector.database, policies)
    assert (shared["digest"], json.loads(shared["document"])) == (first.pop("policy_digest"), policy)
    agent = {"agent_id": "a", "version": "0.1.0", "mode": "enforce", "started": NOW}
    assert first == agent | {"engine": '{"version":"26.1"}'}


async def test_a_state_keeps_the_time_at_which_it_began(collector: Collector) -> None:
    async def state() -> dict[str, Any]:
        (row,) = await history.rows(collector.database, hosts, "state", "state_since", "last_seen")
        return row

    await collector.receive(status("online"))
    later = START + MINUTE
    await collector.receive(status("online", later, arrives=later))
    assert await state() == {"state": "online", "state_since": NOW, "last_seen": NOW + 60_000}
    end = START + HOUR  # the will, which was written when the connection began
    await collector.receive(status("offline", START, arrives=end))
    assert await state() == {"state": "offline", "state_since": NOW + times.HOUR, "last_seen": NOW + 60_000}


async def test_a_retained_message_shows_only_that_the_host_was_alive_when_it_was_written(collector: Collector) -> None:
    await collector.receive(status("online", START - DAY, retain=True))
    assert await history.rows(collector.database, hosts, "last_seen") == [{"last_seen": NOW - times.DAY}]


async def test_a_host_with_a_clock_in_the_future_was_last_seen_when_its_message_arrived(collector: Collector) -> None:
    await collector.receive(status("online", START + DAY, retain=True))
    assert await history.rows(collector.database, hosts, "last_seen") == [{"last_seen": NOW}]


async def test_a_host_whose_topics_are_all_cleared_is_forgotten_until_it_says_something(collector: Collector) -> None:
    inventory = history.message("inventory", messages.make_inventory())
    await collector.receive(status("online"), info(), inventory)
    await collector.receive(*(history.message(rest, b"") for rest in ("status", "info")))
    assert len(await collector.database.writer.load_rows()) == 1
    await collector.receive(history.message("inventory", b""))
    assert await collector.database.writer.load_rows() == []
    assert await history.rows(collector.database, hosts, "forgotten_at") == [{"forgotten_at": NOW}]
    await collector.receive(status("online"))
    assert [row.host for row in await collector.database.writer.load_rows()] == ["gpu-07"]


async def stored_alerts(collector: Collector) -> list[dict[str, Any]]:
    return await history.rows(collector.database, alerts, "alert_id", "message", "since", "until")


def alert(message: str = "nearly full", since: datetime = START) -> payloads.Alert:
    return messages.make_alert(message=message).model_copy(update={"since": since})


async def test_an_alert_is_one_row_from_its_begin_to_its_end(collector: Collector) -> None:
    await collector.receive(history.message("alerts/disk", alert()))
    await collector.receive(history.message("alerts/disk", alert("full")))
    row = {"alert_id": "disk", "message": "full", "since": NOW}
    assert await stored_alerts(collector) == [row | {"until": None}]
    await collector.receive(history.message("alerts/disk", b"", at=START + HOUR))
    assert await stored_alerts(collector) == [row | {"until": NOW + times.HOUR}]
    await collector.receive(history.message("alerts/disk", b"", at=START + DAY))
    assert await stored_alerts(collector) == [row | {"until": NOW + times.HOUR}]


async def test_an_alert_that_began_again_unseen_is_another_row(collector: Collector) -> None:
    await collector.receive(history.message("alerts/disk", alert()))
    await collector.receive(history.message("alerts/disk", alert(since=START + HOUR)))
    row = {"alert_id": "disk", "message": "nearly full"}
    assert await stored_alerts(collector) == [
        row | {"since": NOW, "until": NOW + times.HOUR},
        row | {"since": NOW + times.HOUR, "until": None},
    ]


async def test_an_alert_that_comes_and_goes_within_a_batch_has_its_rows(collector: Collector) -> None:
    again = history.message("alerts/disk", alert(since=START + HOUR))
    await collector.receive(
        history.message("alerts/disk", alert()), history.message("alerts/disk", b"", at=START + MINUTE), again
    )
    assert [row["until"] for row in await stored_alerts(collector)] == [NOW + 60_000, None]


async def test_alerts_that_ended_while_nobody_listened_are_ended_when_the_standing_ones_are_known(
    collector: Collector,
) -> None:
    for host in ("gpu-07", "gpu-08"):
        await collector.receive(history.message("alerts/disk", alert(), host=host))
    await collector.database.writer.end_alerts([("gpu-08", "disk")], START + HOUR)
    found = await history.rows(collector.database, alerts, "host_id", "until")
    assert found == [{"host_id": 1, "until": NOW + times.HOUR}, {"host_id": 2, "until": None}]


async def test_all_hosts_are_loaded_with_what_is_known_about_each(collector: Collector) -> None:
    policy = {"pressure": {"high": 0.85}}
    disk = payloads.Disk(total_bytes=100, used_bytes=90, reclaimable_bytes=70)
    image = messages.make_inventory_image(deadline=START + DAY)
    await collector.receive(
        status("online"),
        info(policy=policy),
        history.message("inventory", messages.make_inventory(image, disk=disk, left_out=2)),
        history.message("alerts/disk", alert()),
        history.message("alerts/outbox", alert().model_copy(update={"severity": "critical"})),
        event(messages.make_decision(1, ttl_seconds=DAY.total_seconds())),
        event(messages.make_outcome(2, at=START)),
        event(messages.make_decision(3, "d2", at=START + MINUTE)),
        event(messages.make_decision(1, host="gpu-08")),
    )
    back = messages.make_inventory(at=START + HOUR)
    await collector.receive(history.message("inventory", back, at=START + HOUR))
    again = messages.make_inventory(image, disk=disk, left_out=2, at=START + HOUR)
    await collector.receive(history.message("inventory", again, at=START + HOUR))
    assert await collector.database.writer.load_rows() == [
        HostRow(
            host="gpu-07",
            state="unknown",
            mode="enforce",
            version="0.1.0",
            last_seen=NOW + times.HOUR,
            images=3,
            images_left_out=2,
            disk_used_bytes=90,
            disk_total_bytes=100,
            high=0.85,
            reclaimable_bytes=70,
            next_eviction=NOW + times.DAY,
            warnings=1,
            criticals=1,
            last_decision_at=NOW + 60_000,
            last_outcome=None,
            freed_24h_bytes=5_000_000_000,
            regrets_30d=1,
        ),
        HostRow(host="gpu-08", last_seen=NOW, last_decision_at=NOW),
    ]
