"""All rows as one document, made once for all who ask."""

import asyncio
import gzip
import json

from agent.fleet.collector.batch import Committed
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.position import Position
from agent.fleet.live.row import COLUMNS
from agent.fleet.web.snapshots import Snapshots
from tests.support import live as make
from tests.support.fakes.clock import FakeClock
from tests.support.live import BOOT, batch, fleet
from tests.support.times import START


def change(made: LiveFleet) -> None:
    made.apply(batch(make.info(version=str(made.position.tick))), Committed())
    made.tick(START)


async def test_a_snapshot_has_the_rows_in_the_order_of_its_columns_and_the_position() -> None:
    made = fleet(make.status("b"), make.status("a"))
    snapshot = await Snapshots(made, FakeClock()).current()
    document = json.loads(snapshot.json)
    assert (document["at"], document["columns"]) == (f"{BOOT}.1.0", list(COLUMNS))
    rows = [dict(zip(document["columns"], row, strict=True)) for row in document["hosts"]]
    assert [(row["host"], row["state"], row["last_seen"]) for row in rows] == [
        ("b", "online", int(START.timestamp() * 1000)),
        ("a", "online", int(START.timestamp() * 1000)),
    ]
    assert gzip.decompress(snapshot.gzipped) == snapshot.json


async def test_a_snapshot_is_made_at_most_once_a_second() -> None:
    made, clock = fleet(make.status()), FakeClock()
    snapshots = Snapshots(made, clock)
    first = await snapshots.current()
    change(made)
    await clock.advance(0.9)
    assert await snapshots.current() is first
    await clock.advance(0.2)
    assert (await snapshots.current()).position == made.position


async def test_a_snapshot_of_a_fleet_that_did_not_change_is_not_made_again() -> None:
    clock = FakeClock()
    snapshots = Snapshots(fleet(make.status()), clock)
    first = await snapshots.current()
    await clock.advance(3600)
    assert await snapshots.current() is first


async def test_all_who_ask_at_once_get_the_same_snapshot() -> None:
    snapshots = Snapshots(fleet(make.status()), FakeClock())
    first, *others = await asyncio.gather(*(snapshots.current() for _ in range(20)))
    assert all(other is first for other in others)


async def test_nobody_gets_a_snapshot_of_before_the_oldest_tick() -> None:
    made, clock = fleet(make.status()), FakeClock()
    snapshots = Snapshots(made, clock)
    asked = asyncio.create_task(snapshots.current())
    await asyncio.sleep(0)
    change(made)  # while the snapshot is made
    assert snapshots.oldest_tick == 1
    assert (await asked).position.tick == 1
    change(made)
    assert snapshots.oldest_tick == 1  # it is less than a second old
    await clock.advance(1.1)
    assert snapshots.oldest_tick == made.position.tick == 3


def test_a_position_is_read_back_from_its_text_and_from_no_other() -> None:
    assert Position.parse(str(Position("b1f2", 700, 91))) == Position("b1f2", 700, 91)
    for text in ("", "b1f2", "b1f2.1", "b1f2.1.-1", "b1f2.1.1.1", "b1f2.x.1", ".1.1", "b.1.1\n", "b.1." + "9" * 19):
        assert Position.parse(text) is None
