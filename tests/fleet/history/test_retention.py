"""What is deleted when, and that what tells which events have arrived stays."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select

from agent.core.protocol import payloads
from agent.fleet.collector.batch import StreamState
from agent.fleet.history import retention, times
from agent.fleet.history.database import Database
from agent.fleet.history.retention import Retention
from agent.fleet.history.tables import metadata
from tests.core.protocol.test_new_events import EXAMPLES
from tests.support import history, messages
from tests.support.history import Collector, event, message
from tests.support.times import DAY, START

TIMED = {
    "decisions": "at",
    "freed_days": "day",
    "disk_days": "day",
    "disk_hours": "hour",
    "alerts": "until",
    "sweeps": "at",
    "gaps": "at",
    "build_cache": "at",
    "dropped": "at",
    "idle_spells": "day",
}


async def live_through(collector: Collector, at: datetime, first_seq: int) -> None:
    """A row in each table from this time."""
    idle = messages.make_inventory_image(last_used=at - DAY, idle_since=at - DAY)
    used = messages.make_inventory_image(last_used=at, idle_since=None)
    disk = payloads.Disk(total_bytes=100, used_bytes=50)
    for made in (idle, used):
        await collector.receive(message("inventory", messages.make_inventory(made, disk=disk, at=at), at=at))
    alert = messages.make_alert().model_copy(update={"since": at})
    await collector.receive(message("alerts/disk", alert, at=at), message("alerts/disk", b"", at=at))
    pair = f"d{first_seq}"
    sent = [
        event(messages.make_decision(first_seq, pair, at=at)),
        event(messages.make_outcome(first_seq + 1, pair, at=at)),
        *(
            event(
                payloads.event(
                    host="gpu-07",
                    epoch="e",
                    seq=first_seq + 2 + index,
                    kind=made.kind,
                    at=at,
                    subject=None,
                    data=dict(made.data),
                )
            )
            for index, made in enumerate(EXAMPLES[2:])
        ),
    ]
    await collector.receive(*sent, now=at)


async def ages(collector: Collector, now: datetime) -> dict[str, list[int]]:
    """By table, how many days old its rows are."""
    found: dict[str, list[int]] = {}
    for table, column in TIMED.items():
        rows = await history.rows(collector.database, metadata.tables[table], column)
        found[table] = sorted(
            {(times.day_of(times.to_ms(now)) - times.day_of(row[column])) // times.DAY for row in rows}
        )
    return found


async def test_each_table_keeps_its_rows_as_long_as_it_should(collector: Collector) -> None:
    days = (401, 399, 91, 89, 15, 13, 0)
    for index, age in enumerate(days):
        await live_through(collector, START - timedelta(days=age), 1 + 6 * index)
    deleted = await Retention(collector.database, timedelta(days=400)).run(START)
    assert deleted == 5 + 3 * 5 + 5  # of freed_days two rows a day; of five tables with details; of disk_hours
    history_days, detail_days, hour_days = [0, 13, 15, 89, 91, 399], [0, 13, 15, 89], [0, 13]
    long = ("decisions", "freed_days", "disk_days", "alerts")
    assert await ages(collector, START) == {
        table: history_days if table in long else hour_days if table == "disk_hours" else detail_days for table in TIMED
    }
    assert await Retention(collector.database, timedelta(days=400)).run(START) == 0


async def test_a_short_retention_counts_for_the_details_too(collector: Collector) -> None:
    for index, age in enumerate((8, 6)):
        await live_through(collector, START - timedelta(days=age), 1 + 6 * index)
    await Retention(collector.database, timedelta(days=7)).run(START)
    assert await ages(collector, START) == {table: [6] for table in TIMED}


async def test_which_events_have_arrived_is_never_forgotten(collector: Collector) -> None:
    await live_through(collector, START - timedelta(days=500), 10)
    await Retention(collector.database, timedelta(days=400)).run(START)
    assert await collector.database.writer.load_streams() == {("gpu-07", "e"): StreamState(2, ((3, 3), (5, 9)), 15)}


async def test_a_standing_alert_stays_however_old_it_is(collector: Collector) -> None:
    alert = messages.make_alert().model_copy(update={"since": START - timedelta(days=500)})
    await collector.receive(message("alerts/disk", alert))
    assert await Retention(collector.database, timedelta(days=400)).run(START) == 0


async def test_an_image_stays_while_a_host_has_it_or_a_decision_names_it(collector: Collector) -> None:
    ids = ["sha256:" + digit * 64 for digit in "123"]

    def inventory(*present: str) -> Any:
        return message("inventory", messages.make_inventory(*(messages.make_inventory_image(name) for name in present)))

    await collector.receive(inventory(*ids), event(messages.make_decision(1)))
    await collector.receive(inventory(ids[1]))
    await Retention(collector.database, timedelta(days=400)).run(START)
    stored = await history.rows(collector.database, metadata.tables["images"], "digest")
    assert [row["digest"] for row in stored] == ids[:2]


async def test_an_image_that_is_used_again_while_unused_ones_are_deleted_stays(collector: Collector) -> None:
    image = messages.make_inventory_image()
    await collector.receive(message("inventory", messages.make_inventory(image)))
    await collector.receive(message("inventory", messages.make_inventory()))

    class Slow(Retention):
        async def _select(self, query: Select[Any]) -> Sequence[dict[str, Any]]:
            found = await super()._select(query)
            if "FROM images" in str(query):
                await collector.receive(message("inventory", messages.make_inventory(image)))
            return found

    await Slow(collector.database, timedelta(days=400)).run(START)
    assert len(await history.rows(collector.database, metadata.tables["host_images"])) == 1


async def test_a_policy_stays_while_a_host_has_it(collector: Collector) -> None:
    def info(ttl: str) -> payloads.Info:
        return messages.make_info().model_copy(update={"policy": {"ttl": ttl}})

    await collector.receive(message("info", info("14d")))
    await collector.receive(message("info", info("7d")))
    await Retention(collector.database, timedelta(days=400)).run(START)
    (row,) = await history.rows(collector.database, metadata.tables["policies"], "document")
    assert row == {"document": '{"ttl":"7d"}'}


async def test_many_rows_are_deleted_in_slices(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 3)
    monkeypatch.setattr(retention, "HOSTS", 1)
    old = START - timedelta(days=500)
    sent = [messages.make_decision(seq, f"d{seq}", at=old, host=host) for host in ("a", "b") for seq in range(1, 8)]
    await collector.receive(*(event(item) for item in sent))
    assert await Retention(collector.database, timedelta(days=400)).run(START) == 14 + 1  # and the image
    assert await history.rows(collector.database, metadata.tables["decisions"]) == []


async def test_the_file_gets_smaller_when_rows_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    async with history.opened(f"sqlite:///{path}") as database:
        collector = await Collector.start(database)
        old = START - timedelta(days=500)
        long = "x" * 1000
        await collector.receive(
            *(event(messages.make_decision(seq, f"d{seq}", at=old, explanation=long)) for seq in range(1, 2001))
        )
        before = await pages(database)
        await Retention(database, timedelta(days=400)).run(START)
        after = await pages(database)
    assert after < before / 3
    assert path.stat().st_size == after * 4096


async def pages(database: Database) -> int:
    async with database.reader() as connection:
        return int((await connection.exec_driver_sql("PRAGMA page_count")).scalar_one())


async def test_so_many_free_pages_are_given_back_at_a_time(tmp_path: Path) -> None:
    async with history.opened(f"sqlite:///{tmp_path}/fleet.db") as database:
        async with database.transaction() as connection:
            await connection.execute(metadata.tables["meta"].insert().values(key="k", value="x" * 4096 * 100))
        async with database.transaction() as connection:
            await connection.execute(metadata.tables["meta"].delete())
        before = await pages(database)
        assert await database.vacuum(60)
        assert await pages(database) == before - 60
        assert not await database.vacuum(60)
