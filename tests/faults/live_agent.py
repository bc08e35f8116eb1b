"""The agent's loops in the test's own process, on a real engine behind a proxy, with a real state file."""

import asyncio
import contextlib
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from agent.adapters.clock import SystemClock
from agent.adapters.docker.engine import DockerEngine
from agent.adapters.docker.timeouts import DockerTimeouts
from agent.adapters.sqlite import database
from agent.config.sections import Agent, Docker, Policy
from agent.config.settings import Settings
from agent.core.model import Usage
from agent.core.protocol import payloads
from agent.daemon import build
from agent.daemon.timing import Timing
from agent.eviction.timing import EvictionTiming
from agent.tracking.timing import TrackingTiming
from tests.support import proc, torch_file
from tests.support.dockerd import Dockerd
from tests.support.proc import PATIENCE
from tests.support.stores import StoreFaults, named_store

HOST = "gpu-01"
QUICK = 0.3  # seconds for an answer, where one is not to come: a busy machine may need more for any other
DUE_AT_ONCE = Policy(ttl=timedelta(microseconds=1), min_age=timedelta(), local_images="evict")


# Every wait of the agent is shorter: what it does stays the same.
SHORT_WAITS = Timing(
    tracking=TrackingTiming(
        reconnect_delay=0.01,
        reconnect_backoff_max=0.02,
        reconnect_jitter=0.0,
        relist_delay=0.05,
        engine_stop_time=0.1,
        drain_timeout=0.5,
    ),
    eviction=EvictionTiming(retry_delay=0.05, coalesce=0.02),
)


def timeouts(seconds: float) -> DockerTimeouts:
    """How long the agent waits for an answer of the engine."""
    return DockerTimeouts(call=seconds, ping=seconds, list_pause=0.01)


PATIENT = timeouts(PATIENCE)  # no answer counts as missing only because the machine is busy


class LiveAgent:
    """One process of the agent: `start` runs its loops, `kill` is a SIGKILL."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        timing: Timing = SHORT_WAITS,
        timeouts: DockerTimeouts = PATIENT,
        **sections: Any,
    ) -> None:
        settings = Settings(agent=Agent(host=HOST, state_dir=folder), docker=Docker(url=url), **sections)
        self.faults = StoreFaults()
        self.store = named_store(database.open_file(folder, datetime.now(UTC))[0], folder, HOST, before=self.faults)
        engine = DockerEngine(url, timeouts)
        self.components = build.make_agent(settings, self.store, folder, SystemClock(), engine, timing=timing)
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, *, sweeping: bool = True) -> "LiveAgent":
        loops = {"watcher": self.components.watcher.run} | (
            {"sweeper": self.components.sweeper.run} if sweeping else {}
        )
        self.tasks = [asyncio.create_task(loop(), name=name) for name, loop in loops.items()]
        return self

    async def ready(self) -> None:
        """Wait until the stream is proven; a loop that ended is a failure."""
        waiting = asyncio.create_task(self.components.watcher.ready.wait(), name="ready")
        try:
            await asyncio.wait({waiting, *self.tasks}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            self.check()
            assert waiting.done(), "never proven"
        finally:
            waiting.cancel()

    def check(self) -> None:
        """A loop that ended is a failure, with its own error."""
        for task in self.tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task.get_name()} ended")

    async def kill(self) -> None:
        """SIGKILL: from here on it reaches neither its engine nor its state."""
        self.faults.fail_after(0, asyncio.CancelledError)
        await self._end()
        await self.store.close()

    async def _end(self) -> None:
        """Before Python 3.13 a TaskGroup forgets a cancellation while one of its tasks fails: cancel until it ends."""
        while pending := [task for task in self.tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.sleep(0.001)
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.components.engine.close()

    # What it has on disk

    async def events(self, kind: str = "") -> list[payloads.Event]:
        """The event log, oldest first."""
        found = await self.store.load_events(datetime.fromtimestamp(0, UTC))
        return [event for event in found if event.type.startswith(kind)]

    async def gaps(self) -> list[str]:
        return [event.data["cause"] for event in await self.events(payloads.GapData.type)]

    async def usages(self) -> dict[str, Usage]:
        saved = await self.store.load_latest_engine()
        return {usage.image_id: usage for usage in saved.usages} if saved is not None else {}

    async def may_have_journal(self) -> bool:
        """Whether a removal is under way, or nobody knows because the engine was not reached yet."""
        view = self.components.ingestor.view
        return view.engine is None or bool(await view.engine_store.load_removals())

    async def backed_off(self) -> set[str]:
        """The IDs of the images that were refused or failed, and are left alone for a while."""
        return set(await self.components.ingestor.view.engine_store.load_backoff())


@asynccontextmanager
async def live_agent(url: str, folder: Path, *, sweeping: bool = True, **how: Any) -> AsyncIterator[LiveAgent]:
    """An agent for as long as the block lasts; killed at the end. `how`: as LiveAgent takes it."""
    agent = await LiveAgent(url, folder, **how).start(sweeping=sweeping)
    try:
        yield agent
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await agent.kill()


def import_torch_image(engine: Dockerd, *refs: str) -> str:
    """Import a tiny image that says it is PyTorch, with all its tags; its ID. `true` is all that it can run."""
    query = {"fromSrc": "-", "repo": refs[0].rpartition(":")[0], "tag": refs[0].rpartition(":")[2]}
    changes = [("changes", "ENV PYTORCH_VERSION=2.4.0"), ("changes", 'CMD ["true"]')]
    status, answer = engine.api("POST", f"/images/create?{urlencode([*query.items(), *changes])}", _only_true())
    assert status == 200, answer
    image = str((answer if isinstance(answer, dict) else json.loads(answer))["status"])
    for ref in refs[1:]:
        repository, _, tag = ref.rpartition(":")
        assert engine.api("POST", f"/images/{image}/tag?{urlencode({'repo': repository, 'tag': tag})}")[0] == 201
    return image


def _only_true() -> bytes:
    """A root file system of one program, torch's own version file, and a file that no other has."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(proc.require_program("busybox", "busybox-static"), "bin/true")
        for name, content in ((torch_file.PLACE, torch_file.of("", None)), ("payload", os.urandom(16))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tags_of(engine: Dockerd, image: str) -> set[str] | None:
    """The tags of an image, None where the engine does not know it."""
    status, found = engine.api("GET", f"/images/{image}/json")
    return set(found["RepoTags"] or ()) if status == 200 else None
