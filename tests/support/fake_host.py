"""One agent on a daemon in memory, with a clock that the test moves and real SQLite: no threads, no waiting.

A `HostedAgent` has the watcher, the sweeper and their collaborators. A second one on the same `FakeHost` is a new
process with the same state folder: it gets only the database and the file with the pins from the first.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from agent.adapters.engine import Engine
from agent.adapters.sqlite import database
from agent.core.model import Image, Usage
from agent.core.policy.decision import Decision, Outcome, Plan, Reason
from agent.core.policy.settings import Policy
from agent.core.protocol import payloads
from agent.core.usage.attribution import IgnoredContainers
from agent.core.usage.own_removals import OwnRemovals
from agent.daemon import build
from agent.eviction import removal
from agent.eviction.removal_answers import Answers
from agent.eviction.sweeper import Pacing, Sweeper
from agent.reporting.host_report import HostReport
from agent.tracking.engine_view import EngineView
from agent.tracking.layer_probes import LayerProbes, Probing
from agent.tracking.timing import TrackingTiming
from agent.tracking.watcher import Watcher
from tests.support.builders import make_engine_info
from tests.support.fakes.clock import FakeClock, Span
from tests.support.fakes.docker import FakeDocker
from tests.support.fakes.engine import FakeEngine
from tests.support.fakes.executor import InlineExecutor
from tests.support.fakes.stalls import FakeStallDetector
from tests.support.stores import StoreFaults, named_store
from tests.support.times import MINUTE, SECOND, START

TTL = 20 * MINUTE  # short: a heartbeat every 15 s of the time that passes costs real time
MIN_AGE = 5 * MINUTE
PAST_TTL = TTL + MINUTE
TOLERANCE = MINUTE  # of gaps
BEYOND_TOLERANCE, WITHIN_TOLERANCE = TOLERANCE + 30 * SECOND, TOLERANCE - 30 * SECOND
AT_ONCE = Pacing()
NOBODY = IgnoredContainers()
USUAL = TrackingTiming()


class Killed(BaseException):
    """The process is killed here: nothing runs after it except what Python does while it unwinds the stack."""


class FakeHost:
    """The parts that outlive an agent: the clock, the daemon, and the state folder."""

    def __init__(self, folder: Path, *, containerd: bool = False) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.docker = FakeDocker(self.clock, containerd=containerd)
        self.db = database.open_copy(folder / "none")  # real SQLite, in memory
        self.agents: list[HostedAgent] = []

    def agent(
        self,
        *,
        pacing: Pacing = AT_ONCE,
        ignored: IgnoredContainers = NOBODY,
        tolerance: timedelta = TOLERANCE,
        timing: TrackingTiming = USUAL,
        **rules: Any,
    ) -> "HostedAgent":
        policy = Policy(**({"ttl": TTL, "min_age": MIN_AGE} | rules))
        self.agents.append(HostedAgent(self, policy, pacing, ignored, tolerance, timing))
        return self.agents[-1]

    async def close(self) -> None:
        for agent in self.agents:
            await agent.kill()
        self.db.close()


@asynccontextmanager
async def fake_host(folder: Path, *, containerd: bool = False) -> AsyncIterator[FakeHost]:
    """A host in memory; all its agents end with the block."""
    made = FakeHost(folder, containerd=containerd)
    try:
        yield made
    finally:
        await made.close()


class HostedAgent:
    """One process of the agent. `start` runs it as the daemon does; `watch` and `sweep` run parts of it."""

    def __init__(
        self,
        host: FakeHost,
        rules: Policy,
        pacing: Pacing,
        ignored: IgnoredContainers = NOBODY,
        tolerance: timedelta = TOLERANCE,
        timing: TrackingTiming = USUAL,
    ) -> None:
        self.host = host
        self.clock = host.clock
        self.engine = FakeEngine(host.docker)
        self.faults = StoreFaults()
        self.executor = InlineExecutor()
        self.store = named_store(host.db, host.folder, "gpu-07", executor=self.executor, before=self.faults)
        self.stalls = FakeStallDetector()
        self.ingestor = build.make_ingestor(
            self.engine,
            self.store,
            self.clock,
            gap_tolerance=tolerance,
            probes=LayerProbes(self.engine, probing=Probing(wanted=False)),
            ignored=ignored,
            stalls=self.stalls,
            timing=timing,
        )
        self.view = self.ingestor.view
        self.host_report = HostReport(self.view.figures)
        self.watcher = Watcher(self.engine, self.ingestor, self.clock, self.host_report, timing)
        self.steps = build.make_sweep_steps(
            self.engine,
            self.ingestor,
            self.store,
            self.clock,
            self.host_report,
            rules=rules,
            folder=host.folder,
            pacing=pacing,
        )
        self.planner = self.steps.planner
        self.sweeper = Sweeper(
            self.ingestor,
            self.store,
            self.clock,
            self.host_report,
            steps=self.steps,
            folder=host.folder,
            pacing=pacing,
        )
        self.tasks: list[asyncio.Task[None]] = []

    # Running it

    async def watch(self) -> "HostedAgent":
        """Run the watcher until it is proven."""
        self._spawn(self.watcher.run(), "watcher")
        await self.clock.advance()
        self.check()
        return self

    async def start(self) -> "HostedAgent":
        """Run the watcher and the sweeper."""
        await self.watch()
        self._spawn(self.sweeper.run(), "sweeper")
        await self.clock.advance()
        self.check()
        return self

    async def wait(self, span: Span = 1.0) -> None:
        """Let time pass. Raises the error of a loop that ended meanwhile."""
        await self.clock.advance(span)
        self.check()

    async def stop(self) -> None:
        """End the process as by SIGTERM."""
        await self._end()

    async def kill(self) -> None:
        """End the process as by SIGKILL: from here on it can reach neither its engine nor its state."""
        self.engine.forget_hooks()
        self.engine.on("*", Killed(), once=False)
        self.faults.fail_after(0, Killed)
        await self._end()

    async def _end(self) -> None:
        """Cancel all tasks until they end: before Python 3.13 a TaskGroup loses a cancellation when a task fails."""
        while pending := [task for task in self.tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await self.clock.advance()  # let the first cancellation finish: a second one would interrupt it
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def end_watcher_as_proven(self) -> None:
        """End the watcher, but let its stream count as proven, so that the test can skip hours without events."""
        await self._end()
        await self.engine.connect()
        prove(self.view)

    def check(self) -> None:
        for task in self.tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task.get_name()} ended")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        asyncio.get_running_loop().set_default_executor(InlineExecutor())
        self.tasks.append(asyncio.create_task(work, name=name))

    # Looking at it

    def usage(self, image_id: str) -> Usage:
        return self.view.tracker.usages[image_id]

    def last_use(self, image_id: str) -> tuple[datetime | None, str]:
        """When an image was last used, and by what."""
        usage = self.usage(image_id)
        return usage.last_used, usage.last_used_by

    async def plan(self) -> Plan:
        return await self.planner.plan()

    async def decision(self, image_id: str) -> Decision:
        return next(item for item in (await self.plan()).decisions if item.image.id == image_id)

    async def reason(self, image_id: str) -> Reason:
        return (await self.decision(image_id)).reason

    async def events(self, kind: str = "") -> list[payloads.Event]:
        """The events in the event log, oldest first."""
        found = await self.store.load_events(datetime.fromtimestamp(0, self.clock.now().tzinfo))
        return [event for event in found if event.type.startswith(kind)]

    async def outcomes(self) -> list[str]:
        return [event.data["outcome"] for event in await self.events(payloads.OutcomeData.type)]

    async def gaps(self) -> list[tuple[timedelta, str]]:
        """The length and the cause of each, oldest first."""
        found = await self.events(payloads.GapData.type)
        return [(timedelta(seconds=event.data["seconds"]), event.data["cause"]) for event in found]

    async def saved(self) -> dict[str, Usage]:
        """The usage as stored on disk."""
        info = make_engine_info(self.host.docker.engine_id, root=self.host.docker.root)
        saved = await (await self.store.engine(info)).load()
        return {usage.image_id: usage for usage in saved.usages}


def prove(view: EngineView) -> None:
    """Let a stream that nobody reads count as proven."""
    view.stream.begin()
    view.stream.open()
    view.stream.catch_up()


async def agent_past_ttl(host: FakeHost, **rules: Any) -> HostedAgent:
    """An agent that watches, after the TTL of all images that were present at its start has passed."""
    agent = await host.agent(**rules).watch()
    await agent.wait(PAST_TTL)
    return agent


async def sweep(agent: HostedAgent) -> dict[str, Outcome]:
    """Image reference -> outcome of one sweep."""
    done = await agent.sweeper.sweep()
    names = {item.image.id: names_of([item])[0] for item in done.initial_plan.decisions if item.image.references}
    return {names.get(image_id, image_id): outcome for image_id, outcome in done.outcomes.items()}


async def event_types(agent: HostedAgent) -> list[str]:
    """The types of all events, oldest first."""
    return [event.type.removeprefix("torchkeeper.") for event in await agent.events()]


async def remove_image(
    engine: Engine, image: Image, *, containerd: bool, answers: Answers | None = None
) -> removal.RemovalResult:
    """Only `removal.remove`, without any event from other users."""
    own = OwnRemovals()
    own.begin(image.id, START)
    answers = answers or Answers(image, {})
    return await removal.remove(engine, image, own, answers, containerd=containerd, undisturbed=lambda: True)


async def settle_removal(engine: Engine, image_id: str, references: tuple[str, ...]) -> removal.RemovalResult:
    """Only `removal.settle`."""
    own = OwnRemovals()
    own.begin(image_id, START)
    return await removal.settle(engine, image_id, references, own)


def names_of(decisions: Sequence[Decision]) -> list[str]:
    return [item.image.references[0] for item in decisions]
