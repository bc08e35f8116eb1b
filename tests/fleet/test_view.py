"""The fold of what agents publish."""

import itertools
import zlib
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.protocol.topics import PROBE
from agent.fleet import view
from agent.fleet.view import DecisionLine, FleetView
from tests.support.messages import (
    make_alert,
    make_decision,
    make_info,
    make_inventory,
    make_inventory_image,
    make_last_decision,
    make_outcome,
    make_status,
    topic,
)
from tests.support.times import MINUTE, START

LINE = DecisionLine("gpu-07", make_last_decision(outcome="removed", measured_bytes=5_000_000_000))


def fold(*messages: tuple[str, bytes], at: datetime = START, retained: bool = False) -> FleetView:
    fleet = FleetView("torchkeeper")
    for rest, payload in messages:
        fleet.apply(topic(rest), payload, at, retained=retained)
    return fleet


def states(fleet: FleetView, now: datetime = START) -> dict[str, str]:
    return {host.name: host.state(now) for host in fleet.hosts()}


def test_an_online_host_is_stale_after_three_silent_minutes_and_not_before() -> None:
    fleet = fold(("status", make_status().encode()))
    assert states(fleet, START + 3 * MINUTE) == {"gpu-07": "online"}
    assert states(fleet, START + 3 * MINUTE + timedelta(seconds=1)) == {"gpu-07": "stale"}


def test_a_host_that_went_offline_stays_offline_and_is_never_stale() -> None:
    fleet = fold(("status", make_status().encode()), ("status", make_status("offline").encode()))
    assert states(fleet, START + 100 * MINUTE) == {"gpu-07": "offline"}


def test_a_late_will_of_a_former_session_is_ignored() -> None:
    fleet = fold(("status", make_status(session=2).encode()), ("status", make_status("offline", session=1).encode()))
    assert states(fleet) == {"gpu-07": "online"}


def test_offline_is_believed_where_no_birth_was_seen_and_a_birth_ends_it() -> None:
    fleet = fold(("status", make_status("offline", session=1).encode()))
    assert states(fleet) == {"gpu-07": "offline"}
    fleet.apply(topic("status"), make_status(session=2).encode(), START)
    assert states(fleet) == {"gpu-07": "online"}


def test_a_host_without_a_status_is_unknown() -> None:
    assert states(fold(("inventory", make_inventory().encode()))) == {"gpu-07": "unknown"}


def test_what_is_retained_was_seen_when_it_was_written_and_what_comes_live_when_it_comes() -> None:
    now = START + 10 * MINUTE
    message = ("status", make_status(at=START).encode())
    assert fold(message, at=now, retained=True).hosts()[0].last_seen == START
    assert fold(message, at=now).hosts()[0].last_seen == now


def test_a_will_is_not_a_sign_of_life() -> None:
    fleet = fold(("status", make_status(at=START).encode()))
    fleet.apply(topic("status"), make_status("offline", at=START).encode(), START + 5 * MINUTE)
    assert fleet.hosts()[0].last_seen == START


def test_a_clock_that_is_ahead_does_not_put_the_last_sight_into_the_future() -> None:
    fleet = fold(("status", make_status(at=START + 60 * MINUTE).encode()), retained=True)
    assert fleet.hosts()[0].last_seen == START


def test_an_inventory_and_an_event_are_signs_of_life() -> None:
    for rest, payload in (
        ("inventory", make_inventory().encode()),
        ("events", make_decision().encode()),
        ("info", make_info().encode()),
    ):
        fleet = fold(("status", make_status().encode()))
        fleet.apply(topic(rest), payload, START + 2 * MINUTE)
        assert fleet.hosts()[0].last_seen == START + 2 * MINUTE, rest


def test_an_empty_payload_clears_an_alert() -> None:
    fleet = fold(("status", make_status().encode()), ("alerts/disk", make_alert().encode()), ("alerts/disk", b""))
    assert fleet.hosts()[0].alerts == {}


def test_a_host_whose_topics_are_all_cleared_is_off_the_list() -> None:
    parts = (
        ("status", make_status().encode()),
        ("info", make_info().encode()),
        ("inventory", make_inventory().encode()),
    )
    fleet = fold(*parts, ("alerts/disk", make_alert().encode()))
    for rest in ("status", "info", "inventory"):
        fleet.apply(topic(rest), b"", START)
        assert len(fleet.hosts()) == 1
    fleet.apply(topic("alerts/disk"), b"", START)
    assert fleet.hosts() == []


@pytest.mark.parametrize("rest", ["status", "info", "inventory", "alerts/disk", "events", "somethingelse"])
@pytest.mark.parametrize("payload", [b"rubbish", b"{}", b"[]", b"\xff", b"\x78\x9c", b'{"state": "online"}'])
def test_rubbish_changes_nothing(rest: str, payload: bytes) -> None:
    parts = (
        ("status", make_status().encode()),
        ("info", make_info().encode()),
        ("inventory", make_inventory().encode()),
    )
    clean = fold(*parts, ("alerts/disk", make_alert().encode()), ("events", make_decision().encode()))
    fleet = fold(*parts, ("alerts/disk", make_alert().encode()), ("events", make_decision().encode()))
    fleet.apply(topic(rest), payload, START)
    assert (fleet.hosts(), fleet.decisions()) == (clean.hosts(), clean.decisions())


def test_the_empty_message_that_an_agent_sends_to_learn_whether_it_may_is_not_an_event() -> None:
    fleet = fold(("status", make_status().encode()), ("events", make_decision().encode()))
    fleet.apply(topic("events"), PROBE, START)
    assert fleet.decisions() == [DecisionLine("gpu-07", make_last_decision())]


def test_compressed_messages_read_as_plain_ones() -> None:
    parts = (
        ("status", make_status().encode()),
        ("info", make_info().encode()),
        ("inventory", make_inventory(make_inventory_image()).encode()),
        ("alerts/disk", make_alert(message="x" * 500).encode()),
        ("events", make_decision().encode()),
    )
    plain, packed = fold(*parts), fold(*((rest, zlib.compress(payload)) for rest, payload in parts))
    assert (packed.hosts(), packed.decisions()) == (plain.hosts(), plain.decisions())


@given(st.binary() | st.text().map(str.encode), st.text())
def test_no_stranger_breaks_the_fold(payload: bytes, name: str) -> None:
    fleet = FleetView("torchkeeper")
    for rest in ("status", "info", "inventory", "alerts/x", "events"):
        fleet.apply(topic(rest), payload, START)
        fleet.apply(topic(rest, host=name), payload, START)
    fleet.apply(name, payload, START)
    fleet.decisions()


def test_hosts_stand_in_the_order_of_their_names() -> None:
    fleet = FleetView("torchkeeper")
    for name in ("b", "a", "c"):
        fleet.apply(topic("status", name), make_status().encode(), START)
    assert list(states(fleet)) == ["a", "b", "c"]


def test_topics_below_another_prefix_are_not_ours() -> None:
    fleet = FleetView("other/prefix")
    fleet.apply(topic("status"), make_status().encode(), START)
    fleet.apply("other/prefix/v1/hosts/gpu-08/status", make_status().encode(), START)
    assert list(states(fleet)) == ["gpu-08"]


SOURCES = {
    "inventory": make_inventory(
        decisions=(make_last_decision(outcome="removed", measured_bytes=5_000_000_000),),
    ).encode(),
    "decision": make_decision().encode(),
    "outcome": make_outcome().encode(),
}


@pytest.mark.parametrize("order", list(itertools.permutations(SOURCES)))
def test_a_decision_is_one_line_from_whichever_messages_and_in_whichever_order(order: tuple[str, ...]) -> None:
    fleet = FleetView("torchkeeper")
    for name in order:
        fleet.apply(topic("inventory" if name == "inventory" else "events"), SOURCES[name], START)
    assert fleet.decisions() == [LINE]


def test_an_inventory_from_before_the_outcome_does_not_take_it_back() -> None:
    fleet = fold(
        ("events", make_decision().encode()),
        ("events", make_outcome().encode()),
        ("inventory", make_inventory(decisions=(make_last_decision(),)).encode()),
    )
    assert fleet.decisions() == [LINE]


def test_an_outcome_without_its_decision_is_shown_as_far_as_it_is_known() -> None:
    (line,) = fold(("events", make_outcome(outcome="failed", error="boom", measured_bytes=None).encode())).decisions()
    known = line.decision
    assert (known.image_id, known.reason, known.outcome, known.error) == (
        make_last_decision().image_id,
        "",
        "failed",
        "boom",
    )


def test_a_decision_to_keep_is_not_a_line() -> None:
    assert fold(("events", make_decision(action="keep").encode())).decisions() == []


def test_decisions_come_newest_first_and_can_be_narrowed() -> None:
    fleet = FleetView("torchkeeper")
    for number, name in enumerate(["a", "b", "a"]):
        event = make_decision(number, f"d{number}", START + number * MINUTE).encode()
        fleet.apply(topic("events", name), event, START)
    assert [line.decision.decision_id for line in fleet.decisions()] == ["d2", "d1", "d0"]
    assert [line.decision.decision_id for line in fleet.decisions(since=START + MINUTE)] == ["d2", "d1"]
    assert [line.decision.decision_id for line in fleet.decisions(host="a")] == ["d2", "d0"]


def test_an_event_that_comes_twice_counts_once_and_the_same_number_of_another_host_is_another() -> None:
    fleet = FleetView("torchkeeper")
    for name in ("a", "a", "b"):
        fleet.apply(topic("events", name), make_decision().encode(), START)
    assert [line.host for line in fleet.decisions()] == ["b", "a"]


def test_the_number_of_events_is_bounded_and_the_oldest_are_dropped() -> None:
    fleet = FleetView("torchkeeper")
    for number in range(view.MAX_EVENTS + 1):
        fleet.apply(topic("events"), make_decision(number, f"d{number}", START + number * MINUTE).encode(), START)
    lines = fleet.decisions()
    assert (len(lines), lines[-1].decision.decision_id) == (view.MAX_EVENTS, "d1")


def test_a_renewed_view_keeps_the_events_and_forgets_what_is_retained() -> None:
    fleet = fold(
        ("status", make_status().encode()), ("events", make_decision().encode()), ("events", make_outcome().encode())
    )
    fresh = fleet.renewed()
    fresh.apply(topic("status", "gpu-08"), make_status().encode(), START)
    assert states(fresh) == {"gpu-08": "online"}
    assert fresh.decisions() == [LINE]
    assert states(fleet) == {"gpu-07": "online"}
