"""What is remembered comes back whole, in one transaction or not at all, on real SQLite."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import reserve
from agent.adapters.sqlite import database
from agent.adapters.sqlite.engine_store import EngineStore
from agent.adapters.sqlite.removal_journal import Removal
from agent.adapters.sqlite.store import Store
from agent.adapters.sqlite.usage_tables import StoredEngine
from agent.adapters.state_errors import StateDamaged, StateError, StateFull
from agent.core.protocol.new_events import NewEvent
from agent.core.protocol.payloads import DecisionData, OutcomeData
from agent.core.usage.continuity import BlindPeriod, Cursor
from agent.core.usage.tracker import Changes, IgnoredRun, IgnoredRuns, TrackedContainer, Use
from tests.support.builders import make_engine_info, make_id, make_usage
from tests.support.fakes.clock import START
from tests.support.stores import StoreFaults

DECISION, OUTCOME = DecisionData.type, OutcomeData.type
LATER = START + timedelta(minutes=1, microseconds=7)
IMAGE = make_id("torch")
USAGE = make_usage(
    "torch",
    arrived=START,
    last_used=LATER,
    last_used_by="böx",
    released=LATER,
    protected=True,
    references=("team/torch:1", "team/torch:2"),
    references_changed=LATER,
    pulled=True,
    present=False,
)
HELD = TrackedContainer("c1", IMAGE, "box", "running", (make_id("mounted"),))
USE = Use(IMAGE, "c1", "start", LATER, "box")
IGNORED = IgnoredRun(IMAGE, "trivy*", LATER, (7, "container", "start", "c1"))
CURSOR = Cursor(time_ns=7, key=(7, "container", "start", "c1"), alive_at=LATER)
REMOVAL = Removal(IMAGE, "d1", ("team/torch:1",), START, {"id": IMAGE})


def note(
    kind: str = "torchkeeper.sweep", at: datetime = START, decision_id: str | None = None, **data: Any
) -> NewEvent:
    return NewEvent(kind, at, IMAGE, data, decision_id)


@pytest.fixture
def faults() -> StoreFaults:
    return StoreFaults()


@pytest.fixture
async def store(tmp_path: Path, faults: StoreFaults) -> AsyncIterator[Store]:
    connection, _ = database.open_file(tmp_path, START)
    made = Store(connection, tmp_path, before=faults)
    yield made
    await made.close()


async def reopened(_: Store, folder: Path) -> Store:
    """The state as a new process finds it after a SIGKILL: the first one never closed it."""
    connection, word = database.open_file(folder, START)
    assert word == ""
    return Store(connection, folder)


async def load(store: Store, **which: str) -> StoredEngine:
    return await (await store.engine(make_engine_info(**which))).load()


async def commit(store: Store, changes: Changes, cursor: Cursor | None = None) -> EngineStore:
    engine = await store.engine(make_engine_info())
    await engine.commit(changes, cursor)
    return engine


# Usage


async def test_an_engine_never_seen_starts_empty(store: Store) -> None:
    assert await load(store) == StoredEngine((), (), Cursor(), None, ())


async def test_every_fact_comes_back_after_a_restart(store: Store, tmp_path: Path) -> None:
    await commit(store, Changes((USAGE, make_usage("bare")), (HELD,), (), (USE,)), CURSOR)
    again = await reopened(store, tmp_path)
    engine = await again.engine(make_engine_info())
    saved = await engine.load()
    assert sorted(saved.usages, key=lambda usage: usage.last_used_by) == [make_usage("bare"), USAGE]
    assert (saved.containers, saved.cursor) == ((HELD,), CURSOR)
    assert await engine.load_uses(IMAGE, 9) == [USE]
    await again.close()


async def test_a_container_whose_mounts_are_not_known_is_not_one_without_any(store: Store) -> None:
    known, unknown = TrackedContainer("c1", IMAGE, mounted=()), TrackedContainer("c2", IMAGE)
    await commit(store, Changes(containers=(known, unknown)))
    assert set((await load(store)).containers) == {known, unknown}


async def test_usage_is_replaced_and_containers_are_let_go(store: Store) -> None:
    await commit(store, Changes(usages=(USAGE,), containers=(HELD, TrackedContainer("c2", IMAGE))))
    newer = replace(USAGE, last_used=LATER + timedelta(hours=1), references=())
    await commit(store, Changes(usages=(newer,), containers=(replace(HELD, state="exited"),), removed=("c2", "c9")))
    saved = await load(store)
    assert (saved.usages, saved.containers) == ((newer,), (replace(HELD, state="exited"),))


async def test_a_use_told_twice_is_one_row(store: Store) -> None:
    engine = await commit(store, Changes(uses=(USE, USE)))
    await commit(store, Changes(uses=(USE, replace(USE, action="die", at=LATER + timedelta(hours=1)))))
    found = await engine.load_uses(IMAGE, 9)
    assert [use.action for use in found] == ["die", "start"]
    assert await engine.find_image("c1") == IMAGE
    assert await engine.find_image("c9") is None


async def test_ignored_runs_are_counted_by_image_and_pattern_and_come_back(store: Store, tmp_path: Path) -> None:
    later, earlier = LATER + timedelta(hours=1), LATER - timedelta(hours=1)
    other = (replace(IGNORED, pattern="role=scanner"), replace(IGNORED, image_id=make_id("other")))
    await commit(store, Changes(ignored=(IGNORED, replace(IGNORED, at=later))), CURSOR)
    await commit(store, Changes(ignored=(replace(IGNORED, at=earlier), *other)))
    again = await reopened(store, tmp_path)
    found = await (await again.engine(make_engine_info())).load_ignored_runs(IMAGE)
    assert found == [IgnoredRuns("role=scanner", 1, LATER, LATER), IgnoredRuns("trivy*", 3, earlier, later)]
    assert await (await again.engine(make_engine_info("other"))).load_ignored_runs(IMAGE) == []
    await again.close()


async def test_each_engine_driver_and_root_directory_has_usage_of_its_own(store: Store) -> None:
    await commit(store, Changes(usages=(USAGE,)), CURSOR)
    assert (await load(store, driver="overlayfs")).usages == ()
    assert (await load(store, engine_id="other")).cursor == Cursor()
    assert (await load(store, root="/data")).usages == ()
    assert (await load(store, root="")).usages == ()
    assert (await load(store)).usages == (USAGE,)


async def test_the_engine_watched_last_is_the_latest(store: Store) -> None:
    assert await store.load_latest_engine() is None
    await commit(store, Changes(usages=(USAGE,)), CURSOR)
    other = await store.engine(make_engine_info("other"))
    await other.record_heartbeat(replace(CURSOR, alive_at=START))
    latest = await store.load_latest_engine()
    assert latest == await load(store)


async def test_a_commit_that_fails_writes_neither_usage_nor_cursor(store: Store) -> None:
    engine = await store.engine(make_engine_info())
    broken = replace(CURSOR, alive_at=START.replace(tzinfo=None))
    with pytest.raises(ValueError, match="without a zone"):
        await engine.commit(Changes(usages=(USAGE,), containers=(HELD,)), broken)
    saved = await load(store)
    assert (saved.usages, saved.containers, saved.cursor) == ((), (), Cursor())


async def test_the_cursor_never_moves_back(store: Store) -> None:
    await commit(store, Changes(), CURSOR)
    await commit(store, Changes(), replace(CURSOR, time_ns=6, alive_at=LATER + timedelta(hours=1)))
    assert (await load(store)).cursor == CURSOR


async def test_usage_without_a_cursor_leaves_the_end_of_the_watch_alone(store: Store) -> None:
    engine = await commit(store, Changes(), CURSOR)
    await engine.record_heartbeat(replace(CURSOR, alive_at=LATER, engine_ended=True))
    await commit(store, Changes(usages=(USAGE,)))
    assert (await load(store)).cursor == replace(CURSOR, engine_ended=True)
    await commit(store, Changes(), CURSOR)
    assert (await load(store)).cursor == CURSOR


async def test_a_gap_is_recorded_with_its_event_and_only_grows(store: Store) -> None:
    engine = await store.engine(make_engine_info())
    for until in (LATER, START):
        await engine.record_gap(BlindPeriod(START, until, "x"), note("torchkeeper.gap"))
    assert (await load(store)).gap_end == LATER
    assert len(await store.unsent(0, 9)) == 2


# Decisions, removals and their back-off


async def decide(store: Store, identity: str) -> bool:
    outcome = note(OUTCOME, decision_id=identity, outcome="would-remove")
    return await store.record_decision(note(DECISION, decision_id=identity), outcome)


async def begin(store: Store) -> EngineStore:
    engine = await store.engine(make_engine_info())
    await engine.begin_removal(REMOVAL, note(DECISION, decision_id="d1"))
    return engine


async def types(store: Store) -> list[str]:
    return [event.type for event in await store.load_events(START)]


async def test_a_decision_that_is_not_acted_on_is_written_once_with_its_outcome(store: Store) -> None:
    assert [await decide(store, "d1"), await decide(store, "d1")] == [True, False]
    assert await types(store) == [DECISION, OUTCOME]


async def test_the_last_decisions_come_with_their_last_outcome(store: Store) -> None:
    await decide(store, "d1")
    await decide(store, "d2")
    for result in ("refused", "removed"):
        await store.log(note(OUTCOME, decision_id="d1", outcome=result))
    found = await store.load_last_decisions(9)
    assert [(decision.data["seq"], outcome and outcome.data["outcome"]) for decision, outcome in found] == [
        (3, "would-remove"),
        (1, "removed"),
    ]
    assert len(await store.load_last_decisions(1)) == 1


async def test_a_removal_is_in_the_journal_until_its_outcome_is_written(store: Store, tmp_path: Path) -> None:
    await begin(store)
    again = await reopened(store, tmp_path)
    engine = await again.engine(make_engine_info())
    assert await engine.load_removals() == [REMOVAL]
    await engine.end_removal(IMAGE, note(OUTCOME, decision_id="d1"), None)
    assert await engine.load_removals() == []
    assert await types(again) == [DECISION, OUTCOME]
    await again.close()


async def test_a_second_try_has_a_journal_row_and_no_second_decision(store: Store) -> None:
    engine = await begin(store)
    await engine.end_removal(IMAGE, note(OUTCOME, decision_id="d1"), START)
    await begin(store)
    assert await engine.load_removals() == [REMOVAL]
    assert await types(store) == [DECISION, OUTCOME]


async def test_no_decision_is_on_disk_without_its_journal_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(database.queries(), "add_removal", "INSERT INTO removals VALUES (1)")
        with pytest.raises(StateError):
            await begin(store)
    assert await types(store) == []


async def test_refusals_are_counted_until_one_succeeds(store: Store) -> None:
    engine = await store.engine(make_engine_info())

    async def end(not_before: datetime | None) -> tuple[dict[str, datetime], int]:
        await engine.end_removal(IMAGE, note(OUTCOME), not_before)
        return await engine.load_backoff(), await engine.count_failures(IMAGE)

    assert await end(START) == ({IMAGE: START}, 1)
    assert await end(LATER) == ({IMAGE: LATER}, 2)
    assert await end(None) == ({}, 0)


# The event log


async def test_an_event_has_its_number_host_and_epoch(store: Store) -> None:
    await store.name_host("gpu-07")
    await store.log(note(at=LATER, reasons={"recent": 1}))
    [event] = await store.load_events(START)
    assert (event.id, event.source, event.type, event.time) == (
        f"gpu-07/{store.epoch}/1",
        "torchkeeper/gpu-07",
        "torchkeeper.sweep",
        LATER,
    )
    assert event.data == {"reasons": {"recent": 1}, "epoch": store.epoch, "seq": 1}
    assert store.appended.is_set()


APPENDS: dict[str, Callable[[Store, EngineStore], Awaitable[object]]] = {
    "log": lambda store, _: store.log(note()),
    "record_decision": lambda store, _: store.record_decision(note(DECISION, decision_id="d1"), note(OUTCOME)),
    "record_gap": lambda _, engine: engine.record_gap(BlindPeriod(START, LATER, "x"), note("torchkeeper.gap")),
    "begin_removal": lambda _, engine: engine.begin_removal(REMOVAL, note(DECISION, decision_id="d1")),
    "end_removal": lambda _, engine: engine.end_removal(IMAGE, note(OUTCOME), None),
    "acknowledge": lambda store, _: store.acknowledge(store.epoch, 0, START),
    "quarantine": lambda store, _: store.quarantine(1, "too long", START),
    "declare_missing": lambda store, _: store.declare_missing(START),
    "prune": lambda store, _: store.prune(START, START, declare_dropped=True),
}


@pytest.mark.parametrize("method", APPENDS)
async def test_each_method_that_may_add_to_the_outbox_wakes_its_sender(store: Store, method: str) -> None:
    engine = await store.engine(make_engine_info())
    assert not store.appended.is_set()
    await APPENDS[method](store, engine)
    assert store.appended.is_set()


async def test_a_decision_that_was_written_before_wakes_nobody(store: Store) -> None:
    await decide(store, "d1")
    store.appended.clear()
    await decide(store, "d1")
    assert not store.appended.is_set()


async def test_host_and_epoch_survive_a_restart(store: Store, tmp_path: Path) -> None:
    await store.name_host("gpu-07")
    epoch = store.epoch
    again = await reopened(store, tmp_path)
    assert (again.host, again.epoch) == ("gpu-07", epoch)
    await again.close()


async def test_events_from_a_time_on_are_told(store: Store) -> None:
    await store.log(note(at=START))
    await store.log(note(at=LATER))
    assert [event.time for event in await store.load_events(LATER)] == [LATER]


async def test_an_event_waits_until_it_is_retired_or_set_aside(store: Store) -> None:
    for _ in range(4):
        await store.log(note())
    await store.retire(1)
    await store.quarantine(3, "too long", START)
    assert [row.seq for row in await store.unsent(0, 9)] == [2, 4, 5]
    assert [row.seq for row in await store.unsent(2, 9)] == [4, 5]
    assert [row.seq for row in await store.unsent(0, 1)] == [2]
    assert len(await store.load_events(START)) == 5  # the last tells of the one set aside


async def test_forgetting_drops_old_uses_and_images_long_gone(store: Store) -> None:
    present = replace(USAGE, image_id=make_id("here"), present=True)
    engine = await commit(store, Changes(usages=(USAGE, present), uses=(USE,)))
    await store.prune(LATER, LATER, declare_dropped=True)
    assert len((await load(store)).usages) == 2
    await store.prune(LATER + timedelta(microseconds=1), LATER, declare_dropped=True)
    assert (await load(store)).usages == (present,)
    assert await engine.load_uses(IMAGE, 9) == []


async def test_a_number_is_never_used_again(store: Store, tmp_path: Path) -> None:
    for _ in range(3):
        await store.log(note())
    await store.prune(LATER, LATER, declare_dropped=False)
    again = await reopened(store, tmp_path)
    await again.log(note())
    assert [row.seq for row in await again.unsent(0, 9)] == [4]
    await again.close()


# What can go wrong


async def test_a_time_without_a_zone_is_rejected(store: Store) -> None:
    with pytest.raises(ValueError, match="without a zone"):
        await store.log(note(at=START.replace(tzinfo=None)))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sqlite3.OperationalError("database or disk is full"), StateFull),
        (sqlite3.OperationalError("database is locked"), StateError),
        (sqlite3.DatabaseError("database disk image is malformed"), StateDamaged),
    ],
)
async def test_the_errors_of_sqlite_are_our_own(
    store: Store, faults: StoreFaults, error: sqlite3.Error, kind: type[StateError]
) -> None:
    faults.fail("append", error)
    with pytest.raises(kind) as caught:
        await store.log(note())
    assert type(caught.value) is kind


async def test_a_write_that_finds_the_disk_full_is_done_once_more_with_the_room_of_the_reserve(
    store: Store, faults: StoreFaults, tmp_path: Path
) -> None:
    reserve.keep(tmp_path)
    faults.fail_once("append", sqlite3.OperationalError("database or disk is full"))
    await store.log(note())
    assert len(await types(store)) == 1
    assert not (tmp_path / reserve.FILE).exists()
