"""Each event once, whatever happens between the statements of a commit."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import event as hooks
from sqlalchemy.exc import IntegrityError

from agent.core.protocol import new_events, payloads
from agent.fleet.collector.batch import Batch, Incoming, StreamState
from agent.fleet.history import times
from agent.fleet.history.database import Database
from agent.fleet.history.tables import build_cache, decisions, dropped, freed_days, gaps, missing, streams, sweeps
from tests.core.protocol.test_new_events import EXAMPLES
from tests.support import history, messages
from tests.support.builders import NOW as EXAMPLES_AT
from tests.support.history import Collector, event
from tests.support.times import MINUTE, START

NOW = times.to_ms(START)
SOURCE = ("gpu-07", "e")


def make_event(made: new_events.NewEvent, seq: int) -> Incoming:
    return event(
        payloads.event(
            host="gpu-07", epoch="e", seq=seq, kind=made.kind, at=made.at, subject=made.subject, data=dict(made.data)
        )
    )


def make_story(*numbers: int) -> list[Incoming]:
    """Events with these numbers: odd ones are decisions, the even ones after them their outcomes."""
    made = []
    for number in numbers:
        pair = f"d{(number + 1) // 2}"
        if number % 2:
            made.append(event(messages.make_decision(number, pair, ttl_seconds=1209600.0)))
        else:
            made.append(event(messages.make_outcome(number, pair, at=START + MINUTE)))
    return made


async def facts(database: Database) -> Mapping[str, Any]:
    """What the story tells, without the order in which it came."""
    columns = [column.name for column in decisions.c if column.name not in ("id", "image_id")]
    found = await history.rows(database, decisions, *columns)
    return {
        "decisions": sorted(found, key=lambda row: str(row["decision_id"])),
        "freed": await history.rows(database, freed_days),
        "streams": await history.rows(database, streams, "contiguous", "highest"),
        "missing": await history.rows(database, missing, "lo", "hi"),
    }


async def test_each_type_of_event_has_its_row(collector: Collector) -> None:
    await collector.receive(*(make_event(made, seq) for seq, made in enumerate(EXAMPLES, start=1)))
    key = {"stream_id": 1, "host_id": 1, "at": times.to_ms(EXAMPLES_AT)}
    hour_ago = times.to_ms(EXAMPLES_AT) - times.HOUR
    assert await history.rows(collector.database, sweeps) == [
        key
        | {"seq": 3, "mode": "enforce", "reasons": '{"idle-ttl":1}', "outcomes": '{"removed":1}'}
        | {"estimated": 0, "measured": 5}
    ]
    assert await history.rows(collector.database, gaps) == [
        key | {"seq": 4, "since": hour_ago, "until": key["at"], "seconds": 3600.0, "cause": "restart"}
    ]
    assert await history.rows(collector.database, build_cache) == [
        key
        | {"seq": 5, "mode": "enforce", "state": "pruned", "unused_seconds": 604800.0, "records": 3}
        | {"estimated": 9, "measured": 8, "error": None}
    ]
    assert await history.rows(collector.database, dropped) == [
        key | {"seq": 6, "first_seq": 1, "last_seq": 4, "count": 3, "reason": "outbox-full"}
    ]
    (cache,) = [row for row in await history.rows(collector.database, freed_days) if row["reason"] == "build-cache"]
    assert (cache["day"], cache["measured"], cache["evicted"]) == (times.day_of(key["at"]), 8, 0)


async def test_an_event_of_an_unknown_type_moves_the_watermark_and_has_no_row(collector: Collector) -> None:
    unknown = messages.make_decision(1).model_copy(update={"type": "torchkeeper.moon-phase"})
    await collector.receive(event(unknown))
    assert await history.rows(collector.database, decisions) == []
    assert await collector.database.writer.load_streams() == {SOURCE: StreamState(1, (), 1)}


async def test_holes_are_on_disk_with_the_time_at_which_they_were_found(collector: Collector) -> None:
    await collector.receive(*make_story(1, 2, 6, 10))
    await collector.receive(*make_story(8), now=START + MINUTE)
    await collector.receive(*make_story(3), now=START + 2 * MINUTE)
    assert await history.rows(collector.database, missing, "lo", "hi", "since") == [
        {"lo": 4, "hi": 5, "since": NOW},
        {"lo": 7, "hi": 7, "since": NOW},
        {"lo": 9, "hi": 9, "since": NOW},
    ]
    state = StreamState(3, ((4, 5), (7, 7), (9, 9)), 10)
    assert await collector.database.writer.load_streams() == {SOURCE: state}


async def test_a_collector_that_restarts_knows_what_is_stored(collector: Collector) -> None:
    await collector.receive(*make_story(1, 2, 5))
    restarted = await Collector.start(collector.database)
    batch = restarted.fold.apply(make_story(1, 2, 3, 4, 5, 6), START)
    assert ([item.seq for item in batch.events], batch.duplicates) == ([3, 4, 6], 3)


async def test_a_batch_that_is_committed_again_writes_nothing_twice(collector: Collector) -> None:
    batch = collector.fold.apply(make_story(1, 2, 3, 4, 7), START)
    first = await collector.commit(batch)
    once = await facts(collector.database)
    again = await collector.commit(batch)
    assert await facts(collector.database) == once
    assert (len(first.decisions), again.decisions, again.streams) == (3, (), first.streams)


async def test_two_collectors_beside_each_other_write_each_event_once(collector: Collector) -> None:
    other = await Collector.start(collector.database)
    await collector.receive(*make_story(1, 2, 3))
    committed = await other.receive(*make_story(2, 3, 4))
    assert committed.streams == {SOURCE: StreamState(4, (), 4)}
    assert await other.receive(*make_story(1)) == committed.__class__((), {}, committed.streams)
    alone = [row["outcome"] for row in await history.rows(collector.database, decisions, "outcome")]
    assert alone == ["removed", "removed"]
    (row,) = await history.rows(collector.database, freed_days, "evicted", "measured")
    assert row == {"evicted": 2, "measured": 10_000_000_000}


async def test_a_number_cannot_be_written_twice_even_if_the_stream_is_wrong(collector: Collector) -> None:
    await collector.receive(*make_story(1))
    async with collector.database.transaction() as connection:
        await connection.execute(streams.update().values(contiguous=0, highest=0))
    batch = (await Collector.start(collector.database)).fold.apply([event(messages.make_decision(1, "other"))], START)
    with pytest.raises(IntegrityError):
        await collector.database.writer.commit(batch)


class Killed(BaseException):
    """Like a SIGKILL: nothing of the process runs after it."""


async def commit_killed_at(database: Database, batch: Batch, statement: int) -> bool:
    """Commit, but end the process before this statement of the transaction. Returns whether it had that many."""
    seen = 0

    def kill(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            raise Killed

    engine = database._batches.engine
    hooks.listen(engine, "before_cursor_execute", kill)
    try:
        await database.writer.commit(batch)
    except Killed:
        return True
    finally:
        hooks.remove(engine, "before_cursor_execute", kill)
    return False


async def test_a_kill_before_any_statement_of_a_commit_leaves_nothing_and_sending_again_fills_it(url: str) -> None:
    inventory = history.message("inventory", messages.make_inventory(messages.make_inventory_image()))
    alert = history.message("alerts/disk", messages.make_alert())
    story = [*make_story(1, 2, 4, 5), inventory, alert, history.message("status", messages.make_status())]
    statement = killed = 0
    async with history.opened(url) as database:
        collector = await Collector.start(database)
        await collector.receive(*make_story(3))
        empty = await history.contents(database)
        while True:
            statement += 1
            batch = (await Collector.start(database)).fold.apply(story, START)
            if not await commit_killed_at(database, batch, statement):
                break
            killed += 1
            assert await history.contents(database) == empty
        assert killed > 15
        await (await Collector.start(database)).receive(*make_story(1, 2, 3, 4, 5, 6))
        found = await facts(database)
    assert [row["decision_id"] for row in found["decisions"]] == ["d1", "d2", "d3"]
    assert [row["outcome"] for row in found["decisions"]] == ["removed"] * 3
    assert found["streams"] == [{"contiguous": 6, "highest": 6}]
    assert [row["evicted"] for row in found["freed"]] == [3]
