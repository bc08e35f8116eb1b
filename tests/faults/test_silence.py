"""An engine that says nothing, and one that says too much: both are found, and nothing is lost or evicted meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.config import sections
from agent.core.protocol import payloads
from agent.daemon.timing import Timing
from tests.faults import running
from tests.faults.running import DUE_AT_ONCE, LiveAgent
from tests.support import images, proc, proxy
from tests.support.dockerd import Dockerd

RING = 256  # events that an engine remembers
NO_TOLERANCE = sections.UsageSection(gap_tolerance=timedelta())


def use(engine: Dockerd, image: str, times: int = 1) -> None:
    """Create a container and remove it: two events."""
    for _ in range(times):
        cid = engine.api("POST", "/containers/create", {"Image": image, "Cmd": ["true"]})[1]["Id"]
        engine.api("DELETE", f"/containers/{cid}")


def last_of(engine: Dockerd) -> int:
    """The time of the last event that the engine remembers, in microseconds."""
    span = ("--since=1", f"--until={time.time():.9f}")
    rows = engine.docker("events", *span, "--format={{.TimeNano}}", "--filter=type=container")
    return max(int(line) // 1000 for line in rows.splitlines())


async def knows(agent: LiveAgent, image: str, at_us: int) -> None:
    """Wait until the last use of an image on disk is at a time, or find it another."""

    async def found() -> bool:
        agent.check()
        usage = (await agent.usages()).get(image)
        return usage is not None and usage.last_used is not None and round(usage.last_used.timestamp() * 1e6) == at_us

    await proc.eventually_async(found)


async def distrusted(agent: LiveAgent) -> None:
    async def unready() -> bool:
        agent.check()
        return not agent.parts.watcher.ready.is_set()

    await proc.eventually_async(unready)


async def test_a_frozen_engine_is_noticed_and_followed_again_when_it_thaws(own_engine: Dockerd, tmp_path: Path) -> None:
    tracking = replace(running.SHORT_WAITS.tracking, heartbeat_interval=0.2, relist_delay=60.0)
    only_pings = Timing(tracking=tracking)  # only the ping asks the engine anything
    impatient = replace(running.PATIENT, ping=running.QUICK)
    image = running.torch(own_engine, "team/torch:1")
    async with running.running(
        own_engine.url, tmp_path, sweeping=False, usage=NO_TOLERANCE, timing=only_pings, timeouts=impatient
    ) as agent:
        await agent.ready()
        own_engine.stop_signal()
        await distrusted(agent)
        own_engine.cont_signal()
        await agent.ready()
        await asyncio.to_thread(use, own_engine, image)
        await knows(agent, image, last_of(own_engine))
        assert await agent.gaps() == []


@pytest.mark.parametrize("target", ["version", "info", r"events\?(?!.*until)", "containers/json", r"events.*until"])
async def test_an_engine_that_falls_silent_while_the_agent_connects_is_given_up_and_asked_again(
    fresh_engine: Dockerd, tmp_path: Path, target: str
) -> None:
    impatient = running.timeouts(running.QUICK)  # it connects again until every other call is as quick
    async with proxy.before(fresh_engine.socket, tmp_path) as between:
        between.on("GET", f"^/{target}", proxy.HANG)
        async with running.running(between.url, tmp_path, sweeping=False, timeouts=impatient) as agent:
            await agent.ready()


class Forwarder:
    """TCP before an engine, as a network between: connections can lose their way without either end hearing of it."""

    def __init__(self, engine: Path) -> None:
        self._engine = engine
        self._dark: set[asyncio.StreamWriter] = set()
        self._open: set[asyncio.StreamWriter] = set()

    def lose_all_connections(self) -> None:
        """Nothing passes on those that are open now; new ones work."""
        self._dark |= self._open

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_unix_connection(self._engine)
        self._open |= {writer, engine_writer}
        await asyncio.gather(self._pass(reader, engine_writer), self._pass(engine_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if writer not in self._dark:
                    writer.write(data)
                    await writer.drain()
        if writer not in self._dark:
            writer.close()


@contextlib.asynccontextmanager
async def network_before(engine: Path) -> AsyncIterator[tuple[str, Forwarder]]:
    forwarder = Forwarder(engine)
    async with await asyncio.start_server(forwarder.serve, "127.0.0.1", 0) as server:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", forwarder
        for writer in forwarder._open:
            writer.close()


async def test_a_stream_that_a_network_lost_without_an_end_is_found_by_its_silence(
    fresh_engine: Dockerd, tmp_path: Path
) -> None:
    timing = Timing(tracking=replace(running.SHORT_WAITS.tracking, audit_interval=1.0))
    image = running.torch(fresh_engine, "team/torch:1")
    async with (
        network_before(fresh_engine.socket) as (url, network),
        running.running(url, tmp_path, sweeping=False, usage=NO_TOLERANCE, timing=timing) as agent,
    ):
        await agent.ready()
        network.lose_all_connections()
        await asyncio.to_thread(use, fresh_engine, image)
        await knows(agent, image, last_of(fresh_engine))
        assert await agent.gaps() == []


async def test_more_events_than_can_wait_are_read_from_the_engine_instead(
    fresh_engine: Dockerd, tmp_path: Path
) -> None:
    image = running.torch(fresh_engine, "team/torch:1")
    async with running.running(fresh_engine.url, tmp_path, sweeping=False, usage=NO_TOLERANCE) as agent:
        await agent.ready()
        full = agent.parts.ingestor.buffer
        full.limit = 10
        async with agent.parts.ingestor._lock:  # the store is slow: nothing is taken in
            await asyncio.to_thread(use, fresh_engine, image, 10)
            await distrusted(agent)
        assert full.overflowed
        await agent.ready()
        await knows(agent, image, last_of(fresh_engine))
        assert await agent.gaps() == []


async def test_more_events_than_the_engine_remembers_while_it_cannot_be_reached_are_a_gap(
    fresh_engine: Dockerd, tmp_path: Path
) -> None:
    image = running.torch(fresh_engine, "team/torch:1")
    async with (
        proxy.before(fresh_engine.socket, tmp_path) as between,
        running.running(between.url, tmp_path, sweeping=False, usage=NO_TOLERANCE) as agent,
    ):
        await agent.ready()
        await asyncio.to_thread(use, fresh_engine, image)
        await knows(agent, image, last_of(fresh_engine))
        between.on("GET", "/", proxy.REFUSE, times=None)
        between.cut_streams()
        await distrusted(agent)
        await asyncio.to_thread(use, fresh_engine, image, RING // 2 + 1)
        between.heal()
        await agent.ready()
        assert await agent.gaps() == ["more happened than the engine remembers"]
        await knows(agent, image, last_of(fresh_engine))


async def test_nothing_is_evicted_while_the_lists_fail(fresh_engine: Dockerd, tmp_path: Path) -> None:
    idle, used = running.torch(fresh_engine, "team/idle:1"), running.torch(fresh_engine, "team/used:1")
    images.create(fresh_engine, "team/used:1")
    async with proxy.before(fresh_engine.socket, tmp_path) as between:
        for number, status in enumerate((404, 409, 500, 503)):
            between.on("GET", "/containers/json", proxy.answer(status), nth=2, times=None)
            folder = tmp_path / str(number)
            folder.mkdir()
            async with running.running(between.url, folder, policy=DUE_AT_ONCE) as agent:
                await proc.eventually_async(lambda agent=agent: _failed(agent))  # type: ignore[misc]
                assert await agent.events(payloads.DecisionData.type) == []
            between.heal()
        assert [call for call in between.calls if call.method == "DELETE"] == []
        async with running.running(between.url, folder, policy=DUE_AT_ONCE):
            await proc.eventually_async(lambda: asyncio.to_thread(_gone, fresh_engine, idle))
        assert running.tags(fresh_engine, used) == {"team/used:1"}


async def _failed(agent: LiveAgent) -> bool:
    agent.check()
    return "sweep-failed" in agent.parts.host_report.alerts


def _gone(engine: Dockerd, image: str) -> bool:
    return running.tags(engine, image) is None
