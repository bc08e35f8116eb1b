"""What another TTL would evict on a large fleet, against the floor: adding up one column of the same rows."""

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from agent.fleet.history import times
from agent.fleet.history.database import Database, open_database
from agent.fleet.history.queries import what_if
from agent.fleet.history.reading import read
from tests.benchmarks.timing import median
from tests.support.builders import GB
from tests.support.times import DAY, START

HOSTS = 10_000
IMAGES = 155  # of each host
COMMON = 200  # images, of which each host has about half
ALL = 20_000  # images of the fleet
TTL = 14 * DAY
WANTED = 7 * DAY
RUNS = 5
_NOW = times.to_ms(START)
_REASONS = random.Random(1).choices(
    ("recent", "in-use", "not-pytorch", "local-only", "protected-tag"), (90, 25, 20, 15, 5), k=997
)
_HOST = "INSERT INTO hosts (id, name, state, first_seen, policy_digest) VALUES (?, ?, 'online', ?, 'p')"
_IMAGE = "INSERT INTO images (id, digest, first_seen) VALUES (?, ?, ?)"
_HOST_IMAGE = (
    "INSERT INTO host_images (host_id, image_id, names, class, action, reason, explanation, last_used, idle_since,"
    " deadline, size, estimated, row_digest) VALUES (?, ?, ?, 'pytorch', 'keep', ?, '', ?, ?, ?, ?, ?, x'00')"
)
_FLOOR = "SELECT count(*), total(estimated) FROM host_images NOT INDEXED"


def measure(hosts: int = HOSTS) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.db"
        asyncio.run(_make(path, hosts))
        with sqlite3.connect(path) as bare:
            floor = median(lambda: bare.execute(_FLOOR).fetchall(), RUNS)
        taken, evicted = asyncio.run(_ask(path))
    return [
        f"what-if over {hosts * IMAGES:,} images       median {taken * 1000:.0f} ms for {evicted:,} of them, "
        f"{taken / floor:.1f} x adding up one column ({floor * 1000:.0f} ms)"
    ]


async def _ask(path: Path) -> tuple[float, int]:
    """The seconds that an answer takes, and the images in it."""
    database = await open_database(f"sqlite:///{path}")
    try:
        loop = asyncio.get_running_loop()
        answers: list[int] = []

        def ask() -> None:
            answers.append(asyncio.run_coroutine_threadsafe(_images(database), loop).result())

        return await asyncio.to_thread(median, ask, RUNS), answers[0]
    finally:
        await database.close()


async def _images(database: Database) -> int:
    found = await read(database, lambda connection: what_if.what_if(connection, WANTED, START))
    return found.images


async def _make(path: Path, hosts: int) -> None:
    await (await open_database(f"sqlite:///{path}")).close()
    with sqlite3.connect(path) as bare:
        bare.execute("PRAGMA synchronous = OFF")
        bare.execute("INSERT INTO policies VALUES ('p', '{}', ?)", [TTL // timedelta(milliseconds=1)])
        bare.executemany(_IMAGE, ((image, f"sha256:{image:064x}", _NOW) for image in range(ALL)))
        bare.executemany(_HOST, ((host, f"gpu-{host:05}", _NOW) for host in range(hosts)))
        bare.executemany(_HOST_IMAGE, _rows(hosts))


def _rows(hosts: int) -> Iterator[tuple[object, ...]]:
    chance = random.Random(2)
    for host in range(hosts):
        images = {*chance.sample(range(COMMON), 80), *chance.sample(range(COMMON, ALL), IMAGES - 80)}
        for number, image in enumerate(images):
            idle = _NOW - chance.randrange(TTL // timedelta(milliseconds=1))
            reason = _REASONS[(host * IMAGES + number) % len(_REASONS)]
            names = f'["registry.example/team/pytorch:2.{image}-cuda12.8"]'
            ends = idle + TTL // timedelta(milliseconds=1)
            yield host, image, names, reason, idle, idle, ends, 9 * GB, chance.randrange(GB, 5 * GB)
