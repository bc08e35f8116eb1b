"""The counts of the event log survive restarts and the deletion of old events, and never become smaller."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.adapters.sqlite import database
from agent.adapters.sqlite.store import Store
from agent.core.figures import EventCounts, Freed, Waiting
from agent.core.policy.decision import Mode, Outcome
from agent.core.protocol import new_events, payloads
from agent.core.protocol.new_events import NewEvent
from agent.core.usage.continuity import OVERRUN, BlindPeriod
from agent.core.usage.tracker import Changes
from tests.support.builders import make_engine_info, make_id, make_usage
from tests.support.times import DAY, HOUR, START


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = reopen(tmp_path)
    yield made
    await made.close()


def reopen(folder: Path) -> Store:
    return Store(database.open_file(folder, START)[0])


async def evict(
    store: Store,
    name: str,
    *,
    measured: int | None = None,
    outcome: Outcome = Outcome.REMOVED,
    at: datetime = START,
    ttl: timedelta = DAY,
) -> None:
    """Write a decision about an image, which would free 100 bytes, and its outcome."""
    image = payloads.ImageRef(id=make_id(name), references=[], size_bytes=9)
    data = payloads.DecisionData(
        decision_id=name,
        action="evict",
        reason="idle-ttl",
        mode=Mode.ENFORCE,
        explanation="",
        image=image,
        last_used=None,
        idle_seconds=0,
        ttl_seconds=ttl.total_seconds(),
        estimated_bytes=100,
        evidence=[],
    )
    await store.log(NewEvent(data.type, at, image.id, data.stored(), name))
    await store.log(new_events.outcome(name, image, outcome, at, measured_bytes=measured))


async def bring_back(store: Store, name: str, at: datetime) -> None:
    """Let an image be pulled again."""
    engine = await store.engine(make_engine_info())
    usage = make_usage(make_id(name), arrived=at)
    await engine.commit(Changes(usages=(usage,)), None)


async def test_evictions_gaps_and_dropped_events_are_counted(store: Store) -> None:
    await evict(store, "a", measured=70)
    await evict(store, "b")
    await evict(store, "c", outcome=Outcome.FAILED)
    await store.log(new_events.gap(BlindPeriod(START, START + HOUR, OVERRUN), START))
    await store.log(new_events.gap(BlindPeriod(START, START + HOUR, "the clock jumped back by 1 h"), START))
    await store.log(new_events.gap(BlindPeriod(START, START + HOUR, "a use of 'x' could not be matched"), START))
    await store.log(new_events.dropped([(1, 3)], "retention", START))
    assert await store.count_events() == EventCounts(
        evictions={"idle-ttl": {"failed": 1, "removed": 2}},
        measured_bytes=70,
        estimated_bytes=200,
        gaps={"overrun": 1, "clock": 1, "unknown-image": 1},
        gap_seconds=3 * 3600.0,
        dropped={"retention": 3},
    )


async def test_the_build_cache_is_counted_apart(store: Store) -> None:
    common = {"unused_for": DAY, "records": 1, "estimated_bytes": 9, "error": None}
    await store.log(new_events.build_cache("decided", START, measured_bytes=None, **common))  # type: ignore[arg-type]
    await store.log(new_events.build_cache("pruned", START, measured_bytes=7, **common))  # type: ignore[arg-type]
    assert await store.count_events() == EventCounts(build_cache_bytes=7)


async def test_events_are_counted_once_however_often_one_asks(store: Store, tmp_path: Path) -> None:
    await evict(store, "a", measured=70)
    first = await store.count_events()
    assert await store.count_events() == first
    other = reopen(tmp_path)
    assert await other.count_events() == first
    await other.close()
    await evict(store, "b", measured=30)
    assert (await store.count_events()).measured_bytes == 100


async def test_deleted_events_still_count(store: Store) -> None:
    await evict(store, "a", measured=70)
    await store.prune(START + DAY, START + DAY, declare_dropped=False)
    assert await store.load_events(START - DAY) == []
    assert (await store.count_events()).measured_bytes == 70
    await evict(store, "b", measured=30)
    assert (await store.count_events()).measured_bytes == 100


async def test_counts_that_cannot_be_read_begin_anew(store: Store) -> None:
    await evict(store, "a", measured=70)
    await store._run(store._db.save_value, "event_counts", "[1")
    assert (await store.count_events()).measured_bytes == 70


async def test_the_counts_of_another_machine_are_not_continued(store: Store, tmp_path: Path) -> None:
    await evict(store, "a", measured=70)
    await store.count_events()
    await store._run(store._db.save_value, "epoch", "another")
    await store._run(store._db.do, "drop_events")
    other = reopen(tmp_path)
    assert await other.count_events() == EventCounts()
    await other.close()


@pytest.mark.parametrize(("after", "regrets"), [(DAY - HOUR, 1), (DAY + HOUR, 0), (-HOUR, 0)])
async def test_an_image_that_came_back_before_its_ttl_had_passed_is_a_regret(
    after: timedelta, regrets: int, store: Store
) -> None:
    await evict(store, "a")
    await bring_back(store, "a", START + after)
    assert [(await store.count_events()).regrets for _ in range(2)] == [regrets] * 2


async def test_a_regret_counts_once_and_is_never_taken_back(store: Store) -> None:
    await evict(store, "a")
    await store.count_events()
    await bring_back(store, "a", START + HOUR)
    assert (await store.count_events()).regrets == 1
    await bring_back(store, "a", START + 9 * DAY)
    assert (await store.count_events()).regrets == 1


async def test_what_was_freed_lately_is_measured_where_that_is_known(store: Store) -> None:
    await evict(store, "old", measured=1000, at=START - 2 * DAY)
    await evict(store, "a", measured=70)
    assert await store.load_freed(START - DAY) == Freed(70, estimated=False)
    await evict(store, "b")
    await evict(store, "c", outcome=Outcome.FAILED)
    assert await store.load_freed(START - DAY) == Freed(170, estimated=True)


async def test_the_rows_that_wait_and_the_oldest_of_them(store: Store) -> None:
    assert await store.load_waiting() == Waiting(0, None)
    await evict(store, "a")
    await evict(store, "b", at=START + HOUR)
    await store.retire(2)
    assert await store.load_waiting() == Waiting(2, START + HOUR)
