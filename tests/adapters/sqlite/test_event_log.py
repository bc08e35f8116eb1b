"""The event log on a real state file: what waits, until when, and that no number vanishes in silence."""

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.outbox import UnknownSequence, Watermark
from agent.adapters.sqlite import database, event_log
from agent.adapters.sqlite.removal_journal import Removal
from agent.adapters.sqlite.store import Store
from agent.adapters.state_errors import StateError
from agent.core.protocol import new_events, payloads
from agent.core.protocol.new_events import NewEvent
from tests.support.builders import make_engine_info
from tests.support.fakes.clock import START

DECISION, OUTCOME = payloads.DecisionData.type, payloads.OutcomeData.type
SWEEP, GAP, DROPPED = payloads.SweepData.type, payloads.GapData.type, payloads.DroppedData.type
LATER = START + timedelta(days=1)
KB = 1024
ROOM = 64 * KB  # of the small log
BIG = 900  # bytes of data in a big event


def make_event(kind: str = SWEEP, *, size: int = 0, decision_id: str | None = None, at: Any = START) -> NewEvent:
    return NewEvent(kind, at, None, {"filler": "x" * size}, decision_id)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A log with room for a few dozen big events."""
    made = reopen(tmp_path)
    yield made
    await made.close()


def reopen(folder: Path) -> Store:
    """The same state, as another process finds it."""
    return Store(database.open_file(folder, START)[0], bound=ROOM)


async def add(store: Store, count: int, kind: str = SWEEP, size: int = 0) -> None:
    for _ in range(count):
        await store.log(make_event(kind, size=size))


async def waiting(store: Store) -> list[int]:
    return [row.seq for row in await store.unsent(0, 100_000)]


async def log_of(store: Store) -> list[payloads.Event]:
    return await store.load_events(START - timedelta(days=999))


async def dropped(store: Store) -> list[dict[str, Any]]:
    """What the `dropped` events in the log say, without their own numbers."""
    found = [payloads.DroppedData.model_validate(event.data) for event in await log_of(store) if event.type == DROPPED]
    return [item.model_dump(exclude={"epoch", "seq"}) for item in found]


def make_dropped(reason: str, *ranges: tuple[int, int]) -> dict[str, Any]:
    return {
        "first_seq": ranges[0][0],
        "last_seq": ranges[-1][1],
        "count": sum(last - first + 1 for first, last in ranges),
        "reason": reason,
        "ranges": list(ranges),
    }


async def acknowledge(store: Store, seq: int, epoch: str | None = None) -> Watermark | None:
    return await store.acknowledge(store.epoch if epoch is None else epoch, seq, LATER)


# Numbers


async def test_a_decision_that_was_written_before_uses_up_no_number(store: Store) -> None:
    decision = make_event(DECISION, decision_id="d1")
    for _ in range(3):
        await store.record_decision(decision, make_event(OUTCOME, decision_id="d1"))
    await add(store, 1)
    assert await waiting(store) == [1, 2, 3]


async def test_a_state_made_anew_has_another_epoch_and_one_that_is_opened_again_has_its_own(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    again, anew = reopen(tmp_path), reopen(tmp_path / "new")
    assert again.epoch == store.epoch != anew.epoch
    await again.close()
    await anew.close()


def test_ranges_are_merged_into_as_few_as_can_be() -> None:
    assert new_events.merged([(7, 7), (1, 2), (3, 3), (2, 2), (9, 12), (10, 10)]) == [(1, 3), (7, 7), (9, 12)]


@pytest.mark.parametrize(
    ("above", "last", "known", "missing"),
    [
        (0, 0, [], []),
        (0, 3, [], [(1, 3)]),
        (0, 3, [(1, 1), (2, 2), (3, 3)], []),
        (2, 9, [(1, 1), (4, 5), (8, 8)], [(3, 3), (6, 7), (9, 9)]),
        (5, 9, [(1, 20)], []),
    ],
)
def test_missing_is_what_no_range_has(above: int, last: int, known: list[new_events.Range], missing: Any) -> None:
    assert new_events.missing(above, last, known) == missing


# The broker's word, and the collector's


async def test_the_brokers_word_retires_until_the_collector_is_heard_and_never_again(
    store: Store, tmp_path: Path
) -> None:
    await add(store, 4)
    await store.retire(2)
    assert await waiting(store) == [3, 4]
    await acknowledge(store, 2)
    await store.retire(4)
    assert await waiting(store) == [3, 4]
    again = reopen(tmp_path)
    await again.retire(4)
    assert (await waiting(again), await again.watermark()) == ([3, 4], 2)
    await again.close()


async def test_the_watermark_retires_up_to_itself(store: Store) -> None:
    await add(store, 4)
    assert await acknowledge(store, 1) == Watermark(1, back=False)
    assert await acknowledge(store, 3) == Watermark(3, back=False)
    assert await acknowledge(store, 3) == Watermark(3, back=False)
    assert await waiting(store) == [4]


async def test_a_collector_that_went_back_gets_again_what_is_still_here(store: Store) -> None:
    await add(store, 6)
    await acknowledge(store, 5)
    assert await acknowledge(store, 2) == Watermark(2, back=True)
    assert await waiting(store) == [3, 4, 5, 6]
    assert await dropped(store) == []


async def test_the_first_collector_gets_also_what_the_broker_had(store: Store) -> None:
    await add(store, 3)
    await store.retire(3)
    await acknowledge(store, 0)
    assert await waiting(store) == [1, 2, 3]


async def test_what_is_no_more_here_for_a_collector_that_went_back_is_named(store: Store) -> None:
    await add(store, 3)
    await acknowledge(store, 3)
    await store.prune(LATER, LATER, declare_dropped=True)
    assert await log_of(store) == []
    await acknowledge(store, 1)
    assert await dropped(store) == [make_dropped("missing", (2, 3))]
    assert await waiting(store) == [4]


async def test_what_went_quietly_before_there_was_a_broker_is_named_once_a_collector_waits_for_it(store: Store) -> None:
    await add(store, 3)
    await store.prune(LATER, LATER, declare_dropped=False)
    await store.log(make_event(at=LATER))
    assert await waiting(store) == [4]
    await acknowledge(store, 0)
    for _ in range(2):
        await store.declare_missing(LATER)
    assert await dropped(store) == [make_dropped("missing", (1, 3))]
    assert await waiting(store) == [4, 5]


async def test_without_a_collector_nothing_counts_as_missing(store: Store) -> None:
    await add(store, 2)
    await store.prune(LATER, LATER, declare_dropped=False)
    await store.declare_missing(LATER)
    assert await log_of(store) == []


@pytest.mark.parametrize("seq", [-1, 4, 2**62, 2**63, 2**100])
async def test_a_number_that_was_never_given_changes_nothing(store: Store, seq: int) -> None:
    await add(store, 3)
    with pytest.raises(UnknownSequence):
        await acknowledge(store, seq)
    assert (await waiting(store), await store.watermark()) == ([1, 2, 3], None)
    await acknowledge(store, 2)
    with pytest.raises(UnknownSequence):
        await acknowledge(store, seq)
    assert (await waiting(store), await store.watermark()) == ([3], 2)


async def test_a_collector_that_knows_another_epoch_only_has_nothing_of_this_one(store: Store) -> None:
    await add(store, 3)
    await store.retire(2)
    assert await acknowledge(store, 2**70, "another") == Watermark(0, back=True)
    assert (await waiting(store), await store.watermark()) == ([1, 2, 3], 0)


async def test_a_word_about_another_epoch_is_ignored_once_this_one_was_spoken_of(store: Store) -> None:
    await add(store, 3)
    await acknowledge(store, 2)
    assert await acknowledge(store, 0, "another") is None
    assert (await waiting(store), await store.watermark()) == ([3], 2)


# What can never be sent


async def test_a_row_set_aside_is_named(store: Store) -> None:
    await add(store, 3)
    await store.quarantine(2, "too long", LATER)
    assert await dropped(store) == [make_dropped("undeliverable", (2, 2))]
    assert (await log_of(store))[-1].time == LATER
    assert await waiting(store) == [1, 3, 4]


async def test_a_dropped_event_that_is_refused_makes_no_other_until_numbers_are_missed(store: Store) -> None:
    await add(store, 2)
    await acknowledge(store, 0)
    await store.quarantine(2, "too long", LATER)
    await store.quarantine(3, "refused", LATER)
    assert await waiting(store) == [1]
    await store.declare_missing(LATER)
    assert (await dropped(store))[1:] == [make_dropped("missing", (2, 3))]
    assert await waiting(store) == [1, 4]


@pytest.mark.parametrize("kind", [DECISION, OUTCOME])
async def test_a_decision_or_outcome_is_not_set_aside(store: Store, kind: str) -> None:
    await add(store, 1, kind)
    await store.quarantine(1, "too long", LATER)
    assert await waiting(store) == [1]
    assert await dropped(store) == []


async def test_a_row_that_is_deferred_waits_on_while_those_behind_it_are_retired(store: Store) -> None:
    await add(store, 4)
    await store.retire(4, deferred=[2])
    assert await waiting(store) == [2]
    await store.retire(2)
    assert await waiting(store) == []


async def test_a_row_that_is_retired_is_not_set_aside(store: Store) -> None:
    await add(store, 1)
    await store.retire(1)
    await store.quarantine(1, "late", LATER)
    assert [event.type for event in await log_of(store)] == [SWEEP]


# Retention


async def test_the_retention_takes_what_is_over_and_names_what_still_waits(store: Store) -> None:
    await add(store, 3)
    await store.log(make_event(at=LATER))
    await store.retire(1)
    await store.prune(LATER, LATER, declare_dropped=True)
    assert await waiting(store) == [4, 5]
    assert await dropped(store) == [make_dropped("retention", (2, 3))]


async def test_the_retention_takes_no_decision_or_outcome_that_still_waits(store: Store) -> None:
    await add(store, 1, DECISION)
    await add(store, 1, OUTCOME)
    await add(store, 2)
    await store.log(make_event(DECISION, decision_id="later"))
    await store.retire(1)
    await store.prune(LATER, LATER, declare_dropped=True)
    assert [event.type for event in await log_of(store)] == [OUTCOME, DECISION, DROPPED]
    assert await waiting(store) == [2, 5, 6]
    assert await dropped(store) == [make_dropped("retention", (3, 4))]


async def test_without_a_broker_the_retention_says_nothing(store: Store) -> None:
    await add(store, 3)
    await store.log(make_event(at=LATER))
    await store.quarantine(2, "too long", LATER + timedelta(seconds=1))
    await store.prune(LATER, LATER, declare_dropped=False)
    assert [event.data["seq"] for event in await log_of(store)] == [4, 5]


async def test_what_a_forgotten_dropped_event_named_is_named_again(store: Store) -> None:
    await add(store, 4)
    await store.quarantine(2, "too long", START)
    await store.prune(LATER, LATER, declare_dropped=True)
    assert await dropped(store) == [make_dropped("retention", (1, 5))]


# Room


async def test_a_full_outbox_gives_up_the_oldest_telemetry_and_names_it(store: Store) -> None:
    await add(store, 100, size=BIG)
    left, names = await waiting(store), await dropped(store)
    given_up = [number for item in names for first, last in item["ranges"] for number in range(first, last + 1)]
    assert sorted(given_up + left) == list(range(1, max(left) + 1))
    assert set(given_up).isdisjoint(left)
    assert {item["reason"] for item in names} == {"outbox-full"}
    assert left[-1] == 100 + len(names)
    assert await store.waiting_bytes() <= ROOM


async def test_a_full_outbox_keeps_every_decision_and_outcome(store: Store) -> None:
    for number in range(40):
        await store.log(make_event(DECISION, size=BIG, decision_id=f"d{number}"))
        await add(store, 1, OUTCOME, BIG)
        await add(store, 1, GAP, BIG)
    kinds = [event.type for event in await log_of(store)]
    assert (kinds.count(DECISION), kinds.count(OUTCOME)) == (40, 40)
    assert kinds.count(GAP) <= 5
    assert await dropped(store) != []


async def test_where_decisions_alone_fill_the_outbox_a_little_telemetry_stays(store: Store) -> None:
    await add(store, 100, DECISION, BIG)
    await add(store, 3, SWEEP, BIG)
    kinds = [event.type for event in await log_of(store)]
    assert (kinds.count(DECISION), kinds.count(SWEEP), kinds.count(DROPPED)) == (100, 3, 0)
    await add(store, 30, SWEEP, BIG)
    kinds = [event.type for event in await log_of(store)]
    assert kinds.count(DECISION) == 100
    assert kinds.count(SWEEP) + kinds.count(DROPPED) <= 6


async def test_numbers_between_those_given_up_are_not_named(store: Store) -> None:
    for _ in range(40):
        await add(store, 1, DECISION, BIG)
        await add(store, 1, SWEEP, BIG)
    left = await waiting(store)
    for item in await dropped(store):
        assert not {number for first, last in item["ranges"] for number in range(first, last + 1)} & set(left)


async def test_the_room_counts_what_waits_and_not_what_is_retired(store: Store, tmp_path: Path) -> None:
    await add(store, 40, size=BIG)
    full = await store.waiting_bytes()
    assert 40 * BIG < full < ROOM
    await acknowledge(store, 40)
    assert await store.waiting_bytes() == 0
    await acknowledge(store, 20)
    half = await store.waiting_bytes()
    assert half == full / 2
    await store.quarantine(21, "x", LATER)
    await store.prune(START + timedelta(seconds=1), LATER, declare_dropped=False)
    known = await store.waiting_bytes()
    again = reopen(tmp_path)
    assert await again.waiting_bytes() == known
    assert await waiting(again) == [41]
    await again.close()


async def test_nearly_full_holds_from_the_first_loss_until_there_is_room(store: Store) -> None:
    assert not await store.nearly_full()
    await add(store, 100, size=BIG)
    assert await dropped(store) != []
    assert await store.nearly_full()
    await acknowledge(store, 100)
    assert not await store.nearly_full()


async def test_a_failed_write_leaves_the_count_right(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await add(store, 3, size=BIG)
    before = await store.waiting_bytes()
    engine, removal = await store.engine(make_engine_info()), Removal("i", "d1", (), START, {})
    monkeypatch.setitem(database.queries(), "add_removal", "INSERT INTO removals VALUES (1)")  # after the decision
    with pytest.raises(StateError):
        await engine.begin_removal(removal, make_event(DECISION, size=BIG, decision_id="d1"))
    assert await store.waiting_bytes() == before
    assert await waiting(store) == [1, 2, 3]


async def test_many_ranges_are_told_in_several_events(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MOST_RANGES", 2)
    for _ in range(5):
        await store.log(make_event(at=START))
        await store.log(make_event(at=LATER))
    await store.prune(LATER, LATER, declare_dropped=True)
    assert await dropped(store) == [
        make_dropped("retention", (1, 1), (3, 3)),
        make_dropped("retention", (5, 5), (7, 7)),
        make_dropped("retention", (9, 9)),
    ]


def test_the_queries_give_up_every_type_of_event_but_those_that_are_never_given_up() -> None:
    text = "\n".join(database.queries().values())
    kept = [set(re.findall(r"'([^']*)'", types)) for types in re.findall(r"type NOT IN \(([^)]*)\)", text)]
    assert kept
    assert all(types == set(payloads.NEVER_GIVEN_UP) for types in kept)
    assert set(re.findall(r"'(torchkeeper\.[^']*)'", text)) <= payloads.EVENT_DATA.keys()


async def test_a_dropped_event_goes_out_as_its_model_says(store: Store) -> None:
    await add(store, 1)
    await store.quarantine(1, "too long", LATER)
    (row,) = await store.unsent(0, 9)
    event = payloads.Event.model_validate_json(row.payload)
    assert event.type in payloads.EVENT_DATA
    assert json.loads(row.payload)["data"] == {
        "epoch": store.epoch,
        "seq": 2,
        "first_seq": 1,
        "last_seq": 1,
        "count": 1,
        "reason": "undeliverable",
        "ranges": [[1, 1]],
    }
