"""From a container event to its committed row, against the floor: the bare stream and a bare commit."""

import asyncio
import sqlite3
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from unittest.mock import patch

from agent.adapters.clock import SystemClock
from agent.adapters.docker.engine import DockerEngine
from agent.adapters.sqlite import state_dir
from agent.adapters.sqlite.engine_store import EngineStore
from agent.config import sections
from agent.config.settings import Settings
from agent.core.usage.continuity import Cursor
from agent.core.usage.events import EngineEvent
from agent.core.usage.tracker import Changes
from agent.daemon import session
from tests.support import dockerd

CREATES = 200


async def measure(engine: dockerd.Dockerd, folder: Path) -> list[str]:
    url = f"unix://{engine.socket}"
    bare = await _through_the_stream(engine, url)
    commit = _bare_commits(folder / "bare.db")
    agent = await _through_the_agent(engine, url, folder / "state")
    floor = statistics.median(bare) + statistics.median(commit)
    return [
        f"event to stream reader (floor)      median {_ms(bare)}",
        f"one bare SQLite commit (floor)      median {_ms(commit)}",
        f"event to committed row              median {_ms(agent)}, p95 {_p95(agent)}"
        f", {statistics.median(agent) / floor:.1f} x the floor",
    ]


def _ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.2f} ms"


def _p95(seconds: list[float]) -> str:
    return f"{statistics.quantiles(seconds, n=20)[-1] * 1000:.2f} ms"


async def _create_containers(engine: dockerd.Dockerd) -> None:
    """One at a time, as people do; in a thread, so that it does not hold up the loop that is measured."""
    for _ in range(CREATES):
        body = {"Image": "bench/pytorch:1", "Cmd": ["/bin/true"]}
        status, made = await asyncio.to_thread(engine.api, "POST", "/containers/create", body)
        assert status == 201, made
        await asyncio.sleep(0.005)


async def _through_the_stream(engine: dockerd.Dockerd, url: str) -> list[float]:
    docker = DockerEngine(url)
    await docker.connect()
    latencies: list[float] = []

    async def read(stream: AsyncIterator[EngineEvent]) -> None:
        async for event in stream:
            latencies.append((time.time_ns() - event.time_ns) / 1e9)

    async with docker.events(time.time_ns()) as stream:
        reader = asyncio.create_task(read(stream))
        await _create_containers(engine)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    await docker.close()
    return latencies


async def _through_the_agent(engine: dockerd.Dockerd, url: str, folder: Path) -> list[float]:
    async with _agent(url, folder) as latencies:
        await _create_containers(engine)
    return latencies


@asynccontextmanager
async def _agent(url: str, folder: Path) -> AsyncIterator[list[float]]:
    """The agent's own loops in this process, with the moment of each commit noted."""
    store, _ = state_dir.open_store(folder, SystemClock().now())
    latencies: list[float] = []
    settings = Settings(docker=sections.Docker(url=url))
    async with session.engine_session(settings, store, folder) as parts:
        sweeper = asyncio.create_task(parts.sweeper.run())
        with _noting_commits(latencies):
            yield latencies
        sweeper.cancel()
        await asyncio.gather(sweeper, return_exceptions=True)
    await store.close()


@contextmanager
def _noting_commits(latencies: list[float]) -> Iterator[None]:
    """Note how long after the latest event each commit came that moved the cursor."""
    commit, latest = EngineStore.commit, 0

    async def noted(engine: EngineStore, changes: Changes, cursor: Cursor | None) -> None:
        nonlocal latest
        await commit(engine, changes, cursor)
        if cursor is not None and cursor.time_ns > latest:
            latest = cursor.time_ns
            latencies.append((time.time_ns() - latest) / 1e9)

    with patch.object(EngineStore, "commit", noted):
        yield


def _bare_commits(path: Path) -> list[float]:
    return list(_timed_commits(path))


def _timed_commits(path: Path) -> Iterator[float]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (n INTEGER)")
    for number in range(CREATES):
        began = time.perf_counter()
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        yield time.perf_counter() - began
    connection.close()
