"""What messages mean: changes, events once, and nothing that anybody can send breaks it."""

import json
from datetime import timedelta
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.protocol import new_events, payloads
from agent.core.protocol.topics import PROBE, Topics
from agent.fleet.collector import fold as folding
from agent.fleet.collector import streams
from agent.fleet.collector.batch import (
    AlertChange,
    Batch,
    Incoming,
    InfoChange,
    InventoryChange,
    Seen,
    StatusChange,
    StoredEvent,
    StreamState,
)
from agent.fleet.collector.fold import Fold
from agent.fleet.live.summary import summary_of
from tests.support import messages
from tests.support.times import START

TOPICS = Topics("torchkeeper", "+")
GPU_07 = ("gpu-07", "e")


def make_fold(**fields: Any) -> Fold:
    return Fold(TOPICS, **{"streams": {}, "digests": {}, **fields})


def message(rest: str, payload: payloads.Payload | bytes, *, host: str = "gpu-07", retain: bool = False) -> Incoming:
    body = payload if isinstance(payload, bytes) else payload.encode()
    return Incoming(messages.topic(rest, host), body, START, retain)


def event(seq: int = 1, **fields: Any) -> Incoming:
    return message("events", messages.make_decision(seq, **fields))


def dropped(seq: int, *ranges: tuple[int, int]) -> Incoming:
    made = new_events.dropped(ranges, "outbox-full", START)
    sent = payloads.event(
        host="gpu-07", epoch="e", seq=seq, kind=made.kind, at=START, subject=None, data=dict(made.data)
    )
    return message("events", sent)


def applied(*received: Incoming, fold: Fold | None = None) -> Batch:
    return (fold or make_fold()).apply(received, START)


def test_the_retained_topics_of_a_host_become_changes_in_their_order() -> None:
    status, info, alert = messages.make_status(), messages.make_info(), messages.make_alert()
    inventory = messages.make_inventory(messages.make_inventory_image())
    digest = blake2b(inventory.encode(), digest_size=8).digest()
    batch = applied(
        message("status", status, retain=True),
        message("info", info),
        message("inventory", inventory, retain=True),
        message("alerts/disk", alert),
    )
    assert batch == Batch(
        START,
        changes=[
            StatusChange("gpu-07", status, START, retain=True),
            InfoChange("gpu-07", info, START),
            InventoryChange("gpu-07", summary_of(inventory), inventory.encode(), digest, START, retain=True),
            AlertChange("gpu-07", "disk", alert, START),
        ],
    )


def test_an_empty_payload_clears_a_topic() -> None:
    batch = applied(*(message(rest, b"") for rest in ("status", "info", "inventory", "alerts/disk")))
    assert batch.changes == [
        StatusChange("gpu-07", None, START),
        InfoChange("gpu-07", None, START),
        InventoryChange("gpu-07", None, b"", b"", START),
        AlertChange("gpu-07", "disk", None, START),
    ]


def test_an_inventory_that_is_known_is_a_sign_of_life_and_is_not_decoded() -> None:
    known = message("inventory", b"not even JSON")
    fold = make_fold(digests={"gpu-07": blake2b(known.payload, digest_size=8).digest()})
    assert applied(known, fold=fold) == Batch(START, changes=[Seen("gpu-07", START)])


def test_a_retained_inventory_that_is_known_may_be_old_and_shows_nothing() -> None:
    fold = make_fold()
    inventory = messages.make_inventory()
    applied(message("inventory", inventory), fold=fold)
    assert applied(message("inventory", inventory, retain=True), fold=fold) == Batch(START)


def test_an_inventory_that_was_cleared_is_decoded_when_it_is_back() -> None:
    fold, inventory = make_fold(), messages.make_inventory()
    applied(message("inventory", inventory), message("inventory", b""), fold=fold)
    (change,) = applied(message("inventory", inventory), fold=fold).changes
    assert isinstance(change, InventoryChange)
    assert (change.summary, change.text) == (summary_of(inventory), inventory.encode())


def test_the_late_will_of_an_earlier_connection_is_ignored_and_that_of_the_present_one_is_not() -> None:
    fold = make_fold()
    applied(message("status", messages.make_status(session=2)), fold=fold)
    assert applied(message("status", messages.make_status("offline", session=1)), fold=fold) == Batch(START)
    will = messages.make_status("offline", session=2)
    assert applied(message("status", will), fold=fold).changes == [StatusChange("gpu-07", will, START)]


def test_an_event_is_stored_once_however_often_it_comes_and_is_a_sign_of_life_once_a_batch() -> None:
    fold = make_fold()
    batch = applied(event(1), event(1), event(2, decision_id="d2"), fold=fold)
    first, second = messages.make_decision(1), messages.make_decision(2, decision_id="d2")
    assert batch == Batch(
        START,
        changes=[Seen("gpu-07", START)],
        events=[
            StoredEvent("gpu-07", "e", 1, first, payloads.data_of(first)),
            StoredEvent("gpu-07", "e", 2, second, payloads.data_of(second)),
        ],
        streams={GPU_07: StreamState(2, (), 2)},
        duplicates=1,
    )
    again = applied(event(2, decision_id="d2"), fold=fold)
    assert again == Batch(START, changes=[Seen("gpu-07", START)], streams={GPU_07: StreamState(2, (), 2)}, duplicates=1)


def test_stored_streams_are_known_from_the_start() -> None:
    fold = make_fold(streams={GPU_07: StreamState(1, ((2, 2),), 3)})
    batch = applied(event(1), event(3), event(2), fold=fold)
    assert ([item.seq for item in batch.events], batch.duplicates) == ([2], 2)
    assert batch.streams == {GPU_07: StreamState(3, (), 3)}


def test_what_a_commit_found_on_disk_counts_from_then_on() -> None:
    fold = make_fold()
    applied(event(1), event(2, decision_id="d2"), fold=fold)
    fold.settle({GPU_07: StreamState(1, (), 1)})
    assert [item.seq for item in applied(event(1), event(2, decision_id="d2"), fold=fold).events] == [2]


def test_dropped_numbers_count_as_arrived_and_one_that_comes_after_all_is_a_duplicate() -> None:
    batch = applied(event(1), dropped(5, (2, 2), (4, 4)), event(4), event(3))
    assert [item.seq for item in batch.events] == [1, 5, 3]
    assert batch.gone == {GPU_07: [(2, 2), (4, 4)]}
    assert (batch.streams, batch.duplicates) == ({GPU_07: StreamState(5, (), 5)}, 1)


def test_a_dropped_event_with_more_ranges_than_fit_must_come_again_and_those_that_fit_are_taken() -> None:
    end = 4 * streams.MAX_RANGES
    ranges = [(number, number) for number in range(2, end, 2)]
    fold = make_fold()
    rounds = 0
    while (batch := applied(dropped(end, *ranges), fold=fold)).refused:
        assert batch.events == []
        assert batch.streams[GPU_07].contiguous < end - 1
        low = batch.streams[GPU_07].contiguous
        applied(*(event(number) for number in range(low + 1, end, 2)), fold=fold)
        rounds += 1
    assert rounds == 1
    assert batch.streams == {GPU_07: StreamState(end, (), end)}


def test_a_dropped_event_is_not_taken_before_all_of_its_ranges_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_RANGES", 2)
    fold = make_fold(streams={GPU_07: StreamState(1, ((2, 2), (4, 8)), 9)})
    refused = applied(dropped(10, (6, 6)), fold=fold)
    assert (refused.events, refused.refused) == ([], 1)
    assert refused.streams == {GPU_07: StreamState(1, ((2, 2), (4, 8)), 9)}
    batch = applied(event(2), dropped(10, (6, 6)), fold=fold)
    assert ([item.seq for item in batch.events], batch.gone) == ([2, 10], {GPU_07: [(6, 6)]})


def test_a_dropped_event_cannot_name_numbers_that_come_after_it() -> None:
    batch = applied(dropped(2, (1, 1), (2, 5), (7, 9)))
    assert (batch.streams, batch.gone) == ({GPU_07: StreamState(2, (), 2)}, {GPU_07: [(1, 1)]})


def test_a_host_that_sends_every_second_number_of_many_streams_opens_no_more_ranges_than_one_host_may() -> None:
    numbers = range(2, 1000, 2)
    made_up = [
        messages.make_decision(number).model_dump(mode="json")
        | {"id": f"gpu-07/{epoch}/{number}", "data": {"epoch": epoch, "seq": number}}
        for epoch in "abcd"
        for number in numbers
    ]
    fold = make_fold()
    batch = applied(*(message("events", json.dumps(item).encode()) for item in made_up), fold=fold)
    assert sum(len(state.missing) for state in batch.streams.values()) == streams.MAX_RANGES
    assert len(batch.events) == streams.MAX_RANGES
    assert batch.refused == 4 * len(numbers) - streams.MAX_RANGES
    other = message("events", messages.make_decision(2, host="gpu-08"), host="gpu-08")
    assert len(applied(other, fold=fold).events) == 1


def test_a_host_with_too_many_streams_gets_no_more_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MAX_EPOCHS", 1)
    fold = make_fold(streams={("gpu-07", "before"): StreamState(1, (), 1)})
    assert applied(event(1), fold=fold) == Batch(START, undecodable=[messages.topic("events")])


def test_the_question_whether_publishing_is_permitted_is_no_event() -> None:
    assert applied(message("events", PROBE)) == Batch(START)


def test_an_event_that_names_another_host_than_its_topic_is_not_taken() -> None:
    stranger = message("events", messages.make_decision(1, host="gpu-08"), host="gpu-07")
    assert applied(stranger) == Batch(START, undecodable=[messages.topic("events")])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "gpu-07/e/2"),
        ("id", "gpu-08/e/1"),
        ("source", "torchkeeper/gpu-08"),
        ("data", {"epoch": "e", "seq": True}),
        ("data", {"epoch": "e", "seq": "1"}),
        ("data", {"epoch": "e"}),
        ("data", {"epoch": 1, "seq": 1}),
        ("specversion", "2.0"),
    ],
)
def test_an_event_with_a_contradiction_in_its_envelope_is_not_taken(field: str, value: object) -> None:
    body = messages.make_decision(1).model_dump(mode="json") | {field: value}
    received = message("events", json.dumps(body).encode())
    assert applied(received) == Batch(START, undecodable=[messages.topic("events")])


@pytest.mark.parametrize("seq", [0, -1, 2**63])
def test_a_number_that_no_database_can_store_is_not_taken(seq: int) -> None:
    assert applied(event(seq)) == Batch(START, undecodable=[messages.topic("events")])


def test_an_event_of_a_type_that_is_not_known_counts_as_arrived() -> None:
    body = messages.make_decision(1).model_copy(update={"type": "torchkeeper.moon-phase"})
    batch = applied(message("events", body))
    assert batch.events == [StoredEvent("gpu-07", "e", 1, body, None)]
    assert batch.undecodable == []


def test_an_event_of_a_known_type_with_unreadable_data_counts_as_arrived_and_is_reported() -> None:
    body = messages.make_decision(1)
    broken = body.model_copy(update={"data": {"epoch": "e", "seq": 1}})
    batch = applied(message("events", broken))
    assert batch.events == [StoredEvent("gpu-07", "e", 1, broken, None)]
    assert (batch.streams, batch.undecodable) == ({GPU_07: StreamState(1, (), 1)}, [messages.topic("events")])


@pytest.mark.parametrize("rest", ["status", "info", "inventory", "alerts/disk", "events"])
def test_what_cannot_be_decoded_is_counted_with_its_topic(rest: str) -> None:
    assert applied(message(rest, b"{")) == Batch(START, undecodable=[messages.topic(rest)])


def test_a_topic_of_a_newer_agent_is_ignored_and_one_outside_of_the_hosts_is_counted() -> None:
    assert applied(message("weather", b"sunny")) == Batch(START)
    outside = Incoming("torchkeeper/v1/collectors/main/status", b"{}", START)
    assert applied(outside) == Batch(START, undecodable=[outside.topic])


VALID = [
    ("status", messages.make_status()),
    ("info", messages.make_info()),
    ("inventory", messages.make_inventory(messages.make_inventory_image(), decisions=(messages.make_last_decision(),))),
    ("alerts/disk", messages.make_alert()),
    ("events", messages.make_decision()),
    ("events", messages.make_outcome()),
]
HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.sampled_from([10**400, 1e308, float("nan"), float("inf"), "\0", "\ud800", "x" * 5000, -1, 2**63, [], {}]),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "not a time", "2026-03-01"]),
    st.text(max_size=20),
    st.recursive(st.none(), lambda inner: st.lists(inner, min_size=1, max_size=2), max_leaves=20),
)


@st.composite
def damaged(draw: st.DrawFn) -> Incoming:
    """A valid message with one value replaced, or bytes that are none."""
    rest, payload = draw(st.sampled_from(VALID))
    if draw(st.integers(0, 4)) == 0:
        return message(rest, draw(st.binary(max_size=60)))
    document = json.loads(payload.encode())
    inside: Any = document
    while True:
        key = draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
        if not (isinstance(inside[key], dict | list) and inside[key] and draw(st.booleans())):
            break
        inside = inside[key]
    inside[key] = draw(HOSTILE)
    return message(rest, json.dumps(document).encode(), retain=draw(st.booleans()))


@given(st.lists(damaged(), max_size=8))
def test_whatever_anybody_sends_becomes_changes_or_is_counted(received: list[Incoming]) -> None:
    batch = applied(*received)
    assert len(batch.changes) + len(batch.undecodable) <= 2 * len(received)
    assert all(1 <= item.seq <= streams.LARGEST for item in batch.events)


@given(st.text(max_size=30), st.binary(max_size=30))
def test_whatever_topic_a_message_has_it_is_applied(topic: str, payload: bytes) -> None:
    assert applied(Incoming(topic, payload, START + timedelta(seconds=1))).events == []
