"""What a commit costs: CPU time for each event beside bare sqlite3 with the same tables, and for each inventory."""

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.fleet.collector.batch import Batch, Incoming
from agent.fleet.collector.fold import Fold
from agent.fleet.history.database import Database
from agent.fleet.history.tables import decisions
from tests.support import history, messages
from tests.support.builders import make_id
from tests.support.times import DAY, START

EVENTS = 20_000
HOSTS = 1000
INVENTORIES = 1000
IMAGES = 20  # of each host: an inventory of 10 kB
AT_ONCE = 500  # messages in one commit


def measure() -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "fleet.db"
        return asyncio.run(_measure(path))


async def _measure(path: Path) -> list[str]:
    async with history.opened(f"sqlite:///{path}") as database:
        fold, commit = await _store(database, list(_events()))
        known, first = await _store(database, list(_inventories()))
        same, again = await _store(database, list(_inventories()))
    floor = _bare_inserts(path)
    each = 1e6 / EVENTS
    return [
        f"an event, {AT_ONCE} in a commit        fold {fold * each:.0f} us, commit {commit * each:.0f} us; "
        f"bare sqlite3 {floor * each:.0f} us",
        f"an inventory of {IMAGES} images        fold {1e3 * known / INVENTORIES:.2f} ms, "
        f"commit {1e3 * first / INVENTORIES:.2f} ms; a known one {1e3 * (same + again) / INVENTORIES:.3f} ms",
    ]


async def _store(database: Database, received: Sequence[Incoming]) -> tuple[float, float]:
    """Seconds of CPU that folding and committing take."""
    writer = database.writer
    fold = Fold(history.TOPICS, await writer.load_streams(), await writer.load_digests())
    began = time.process_time()
    batches: list[Batch] = [fold.apply(received[i : i + AT_ONCE], START) for i in range(0, len(received), AT_ONCE)]
    folded = time.process_time()
    for batch in batches:
        await writer.commit(batch)
    return folded - began, time.process_time() - folded


def _events() -> Iterator[Incoming]:
    """Decisions of all hosts, each with its outcome."""
    for number in range(EVENTS // 2):
        host, turn = f"gpu-{number % HOSTS}", number // HOSTS
        image = {
            "id": make_id(str(number % 200)),
            "references": [f"team/a:{number % 200}"],
            "size_bytes": 9_000_000_000,
        }
        fields: dict[str, Any] = {"image": image, "ttl_seconds": 1209600.0, "last_used": START - 15 * DAY}
        yield history.event(messages.make_decision(2 * turn + 1, f"d{turn}", host=host, **fields))
        yield history.event(messages.make_outcome(2 * turn + 2, f"d{turn}", host=host, image=image))


def _inventories() -> Iterator[Incoming]:
    for number in range(INVENTORIES):
        chance, host = random.Random(number), f"gpu-{number}"
        images = [
            messages.make_inventory_image(
                make_id(str(chance.randrange(2000))),
                f"team/a:{tag}",
                last_used=START - tag * DAY,
                idle_since=START - tag * DAY,
                deadline=START + (14 - tag) * DAY,
            )
            for tag in range(IMAGES)
        ]
        made = messages.make_inventory(*images, host=host, at=START)
        yield history.message("inventory", made, host=host)


def _bare_inserts(path: Path) -> float:
    """Seconds of CPU for as many inserted or updated rows of decisions, as the driver alone does it."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous = FULL")
    columns = [column.name for column in decisions.c if column.name != "id"]
    rows = database.execute(f"SELECT {', '.join(columns)} FROM decisions").fetchall()
    database.execute("DELETE FROM decisions")
    insert = f"INSERT INTO decisions ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    began = time.process_time()
    for start in range(0, len(rows), AT_ONCE // 2):
        part = rows[start : start + AT_ONCE // 2]
        database.execute("BEGIN IMMEDIATE")
        database.executemany(insert, part)
        database.executemany(
            "UPDATE decisions SET outcome = 'removed', outcome_at = ? WHERE host_id = ? AND decision_id = ?",
            [
                (row[columns.index("at")], row[columns.index("host_id")], row[columns.index("decision_id")])
                for row in part
            ],
        )
        database.execute("COMMIT")
    spent = time.process_time() - began
    database.close()
    return spent
