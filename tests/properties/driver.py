"""The agent without its loops: the real ingestor on a ModelHost, and the steps of watcher and sweeper around it.

Events and listings are taken in, folded and committed by the code of `agent.tracking`, in its own order. Here are only
the processes that come and go, the sessions, and the sweeps. `Disk` is what a new process finds.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import cast

from agent.adapters.engine import Engine
from agent.adapters.sqlite.store import Store
from agent.adapters.state_errors import StateFull
from agent.core.policy import planning
from agent.core.policy.decide import Context
from agent.core.policy.decision import Decision, Plan
from agent.core.usage.fold import UsageFold
from agent.tracking.audit import StreamAudit
from agent.tracking.gaps import GapDetector
from agent.tracking.ingestor import EventIngestor
from agent.tracking.layer_probes import LayerProbes, Probing
from agent.tracking.position import ReadPosition
from agent.tracking.timing import TrackingTiming
from agent.tracking.writer import UsageWriter
from tests.properties.adapters import INFO, Disk, ModelClock, ModelEngine, ModelResolver, ModelView, finish
from tests.properties.oracle import POLICY
from tests.properties.world import ModelHost
from tests.support.fakes.stalls import FakeStallDetector

DiskFull = StateFull
TOLERANCE = timedelta()  # of a gap: none, so that the oracle can be strict
PROBED_ALL_THE_TIME = timedelta.max  # an agent asks every few seconds whether the engine is up
TIMING = TrackingTiming(in_flight=0.0)  # no event is on its way: the stream has brought all that it will


class ModelAgent:
    """One agent: processes come and go (`begin`, `kill`, `terminate`), the disk stays."""

    def __init__(self, world: ModelHost) -> None:
        self.world = world
        self.disk = Disk()
        self.running = False
        self._make()

    def _make(self) -> None:
        """The objects of one process, as `daemon.build` makes them."""
        clock, engine, stalls = ModelClock(self.world), cast("Engine", ModelEngine(self.world)), FakeStallDetector()
        self.view = ModelView(UsageFold(), stalls)
        gaps = GapDetector(self.view, clock, TOLERANCE, lambda _: self.world.boot)
        self.position = ReadPosition(self.view, clock, PROBED_ALL_THE_TIME)
        writer = UsageWriter(
            self.view, clock, resolver=ModelResolver(self.world, self.view), gaps=gaps, position=self.position
        )
        self.ingestor = EventIngestor(
            engine,
            cast("Store", self.disk),
            clock,
            writer=writer,
            gaps=gaps,
            auditor=StreamAudit(engine, writer, gaps, clock, TIMING),
            probes=LayerProbes(engine, probing=Probing(wanted=False)),
            timing=TIMING,
        )

    # Processes

    @property
    def proven(self) -> bool:
        return self.view.proven

    def begin(self) -> None:
        """A new process."""
        self._make()
        self.running = True
        self.connect()

    def kill(self) -> None:
        self.running = False
        self.lose_the_stream()

    def terminate(self) -> None:
        """SIGTERM: the events that came are taken in, and the end of the watch is recorded."""
        if self.proven and self._drain():
            finish(self.position.record_session_end(ended=False))
        self.kill()

    # Clocks

    @property
    def sees_clock(self) -> bool:
        """Whether a clock that is set now, and set back later, will be seen to have been set."""
        return self.running and self.view.engine is not None

    @property
    def remembers_this_boot(self) -> bool:
        """Whether the next process will see that a clock was set."""
        return self.disk.cursor.alive_at is not None and self.disk.cursor.boot == self.world.boot.id

    def look(self) -> None:
        """Compare the clocks, as each plan does. Without an engine there is no plan."""
        if self.sees_clock:
            finish(self.ingestor.check_clock())

    # Sessions

    def connect(self) -> None:
        """One session, until it is caught up with. An agent that runs has probed the engine until now."""
        if not (self.running and self.world.up):
            return
        self._probe(down=self.position.down is not None and self.position.down.found)
        self.view.stream.begin()
        try:
            finish(self.ingestor.restore(INFO))
            since_ns = self.position.resume_ns()
            self.world.listen(since_ns)
            self.view.stream.open()
            self._read()
            finish(self.ingestor.catch_up(since_ns))
        except DiskFull:
            self.lose_the_stream()
            self._probe(down=False)

    def lose_the_stream(self) -> None:
        """It ends, and the events that were not yet taken in are lost."""
        self.world.stream = None
        self.view.stream.close()

    def end_the_stream(self, *, engine_ended: bool) -> None:
        """It ends, and the events that came before are taken in."""
        if self.proven and self._drain():
            self.view.stream.close(ended_by_engine=True)
            finish(self.position.record_session_end(ended=True))
            self._probe(down=engine_ended)
        self.lose_the_stream()

    def _probe(self, *, down: bool) -> None:
        if not self.disk.full or not down:
            finish(self.position.record_probe(self.world.wall, down=down))

    def _drain(self) -> bool:
        try:
            self.take_in()
        except DiskFull:
            return False
        return True

    def take_in(self) -> None:
        """Take in the events that wait, and audit where there were so many that the engine may have dropped some."""
        self._read()
        finish(self.ingestor.heartbeat())
        if self.view.stalls.check():
            finish(self.ingestor.audit())

    def _read(self) -> None:
        for event in self.world.stream or []:
            self.ingestor.buffer.put(event)
        self.world.stream = []

    def refresh(self) -> None:
        self.take_in()
        finish(self.ingestor.refresh())

    # Sweeps

    def plan(self) -> Plan:
        now, view = self.world.wall, self.view
        context = Context(
            overrides=self.world.holds,
            proven=view.current,
            clock_trusted=view.clock_trusted,
            gap_end=view.gap_end,
            machine_off=view.absences,
        )
        return planning.plan(view.snapshot(now), view.verdicts, view.tracker.usages, POLICY, now, context)

    def observe(self) -> Plan:
        """A plan, and a note of what it found protected."""
        plan = self.plan()
        finish(self.ingestor.protect(plan.decisions))
        return plan

    def sweep(self, evict: Callable[[Decision], bool], between: Callable[[], None] = lambda: None) -> Plan:
        """`evict` is asked to remove, and says whether it did; `between` comes before each recheck."""
        first = self.observe()
        if first.evictions:
            self._read()
            finish(self.ingestor.audit())
        for planned in first.evictions:
            between()
            self.refresh()
            fresh = self.plan()
            if planning.passes_recheck(planned, fresh):
                self._remove(planned, evict)
        return first

    def _remove(self, planned: Decision, evict: Callable[[Decision], bool]) -> None:
        image, own = planned.image, self.view.own
        own.begin(image.id, self.world.wall)
        own.expect(image.id, "untag", *image.all_references)
        own.expect(image.id, "delete", "")
        removed = evict(planned)
        own.end(image.id, self.world.wall)
        self.take_in()
        if removed:
            finish(self.ingestor.mark_removed(image.id))
