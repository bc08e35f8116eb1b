"""Plan, and act on it: sleeps until the next deadline, wakes on change, removes one image at a time.

The plan is `planning.plan`, pure. Before each removal the engine is listed again and the plan made anew; then the
decision is on disk before the first act, and the journal row before the first reference goes.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from agent.adapters import overrides
from agent.adapters.clock import Clock
from agent.adapters.engine import EngineError
from agent.adapters.sqlite import database
from agent.adapters.sqlite.store import Store
from agent.core import timekeeping
from agent.core.model import Action, Decision, HeldBy, Outcome, Overrides, Plan, Policy
from agent.core.policy import grace as change
from agent.core.policy import limits, planning, pressure
from agent.core.policy.decide import Context
from agent.core.protocol import new_events
from agent.eviction.build_cache import BuildCachePruner
from agent.eviction.evictor import EvictionResult, Evictor
from agent.eviction.plan_reporter import PlanReporter
from agent.eviction.timing import EvictionTiming
from agent.reporting.host_report import HostReport
from agent.tracking.ingestor import EventIngestor

log = structlog.get_logger()

FAILED_ALERT, FULL_ALERT = "sweep-failed", "state-full"
OBSERVE_ALERT = "engine-observe-only"


@dataclass(slots=True)
class SweepResult:
    """One sweep: its plan before and after, and what became of what it touched."""

    plan: Plan  # as it stands now
    initial_plan: Plan  # as it stood before the first act
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # image ID -> outcome
    errors: dict[str, str] = field(default_factory=dict)  # image ID -> the engine's word
    measured_bytes: int | None = None

    def add(self, image_id: str, done: EvictionResult) -> None:
        self.outcomes[image_id] = done.outcome
        if done.error is not None:
            self.errors[image_id] = done.error
        if done.measured_bytes is not None:
            self.measured_bytes = (self.measured_bytes or 0) + done.measured_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How gently evictions come, and how long the sweeper waits."""

    pause: timedelta = timedelta()  # how long the engine is left alone between two removals
    grace: timedelta = timedelta()  # how long what only a new policy evicts waits
    timing: EvictionTiming = EvictionTiming()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSteps:
    """Who carries out a plan: the sweeper decides, and calls these in order."""

    evictor: Evictor
    build_cache: BuildCachePruner
    reporter: PlanReporter


_AT_ONCE = Pacing()


class Sweeper:
    """Decides and evicts on one engine."""

    def __init__(
        self,
        ingestor: EventIngestor,
        store: Store,
        clock: Clock,
        host_report: HostReport,
        *,
        steps: SweepSteps,
        rules: Policy,
        folder: Path,
        pacing: Pacing = _AT_ONCE,
    ) -> None:
        self._ingestor = ingestor
        self._view = ingestor.view
        self._store = store
        self._clock = clock
        self._host_report = host_report
        self._rules = rules
        self._folder = folder
        self._folder_identity = overrides.identity(folder)
        self._evictor = steps.evictor
        self._build_cache = steps.build_cache
        self._reporter = steps.reporter
        self._grace = pacing.grace
        self._timing = pacing.timing
        self._memory: change.PolicyHistory | None = None  # None: not asked yet
        self._pressing = False
        self._pause = pacing.pause.total_seconds()
        self._failures = 0  # sweeps in a row that the engine or the disk stopped

    async def run(self) -> None:
        """Sweep for ever. An engine or a disk that fails is waited for; nothing is evicted meanwhile."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_at_holds(), name="look-at-holds")
            group.create_task(self._look_at_disk(), name="look-at-disk")
            while True:
                self._view.changed.clear()
                latest = await self._try_sweep()
                await self._sleep_until(latest.plan.next_due if latest is not None else None)

    async def _try_sweep(self) -> SweepResult | None:
        if self._view.engine is None:
            return None
        try:
            latest = await self.sweep()
        except (EngineError, database.StateFull) as error:
            self._note_failure(error)
            return None
        self._failures = 0
        for alert in (FAILED_ALERT, FULL_ALERT):
            self._host_report.clear_alert(alert)  # every sweep asks the engine, and writes
        return latest

    def _note_failure(self, error: Exception) -> None:
        """Nothing more is evicted in this sweep, and it says so; the next comes later each time."""
        self._failures += 1
        alert = FULL_ALERT if isinstance(error, database.StateFull) else FAILED_ALERT
        message = f"the sweep stopped, and nothing more was evicted: {error}"
        self._host_report.raise_alert(
            alert, message, self._clock.now(), "critical" if alert == FULL_ALERT else "warning"
        )
        log.warning("the sweep stopped", action="sweep", error=str(error), failures=self._failures)

    async def sweep(self, *, dry_run: bool = False) -> SweepResult:
        """One pass over all images. Raises EngineError, StateFull; what was done until then is recorded."""
        if self._view.proven and not dry_run:
            await self._evictor.settle_interrupted()
        first = await self.plan()
        done = SweepResult(first, first)
        if dry_run:
            done.outcomes = {item.image.id: Outcome.WOULD_REMOVE for item in done.plan.evictions}
            return done
        await self._ingestor.protect(done.plan.decisions)
        await self._observe(done)
        await self._evict(done)
        await self._build_cache.sweep(done.plan.held_by)
        await self._report(done)
        return done

    async def plan(self, *, ahead: timedelta = timedelta(), instead: Policy | None = None) -> Plan:
        """What a sweep would do now; or some time ahead if nothing is used until then; or by another policy."""
        await self._ingestor.check_clock()
        now, view = self._clock.now(), self._view
        context = await self._context(now)
        if instead is not None:
            context = replace(context, pending_policy=None)
        rules = instead or self._rules
        found = planning.plan(view.snapshot(now), view.verdicts, view.tracker.usages, rules, now + ahead, context)
        self._pressing = found.under_pressure
        return found

    async def _context(self, now: datetime) -> Context:
        view = self._view
        engine_store = view.engine_store if view.engine is not None else None
        return Context(
            overrides=self._holds(now),
            proven=view.current,
            observe_only=self._may_only_observe(now),
            clock_trusted=view.clock_trusted,
            gap_end=view.gap_end,
            machine_off=view.absences,
            past_evictions=await self._store.load_past_evictions(now - limits.HOUR),
            backoff=await engine_store.load_backoff() if engine_store is not None else {},
            disk=view.space(),
            under_pressure=self._pressing,
            pending_policy=await self._change(now),
        )

    async def _change(self, now: datetime) -> change.PendingPolicy | None:
        """The change of policy that is still to be gentle about."""
        if self._memory is None:
            kept = await self._store.load_policies()
            memory = change.load(kept, self._rules, now, self._grace)
            text = change.encode(memory)
            if text != kept:
                await self._store.save_policies(text)
            self._memory = memory
        return change.change(self._memory, self._grace)

    def _holds(self, now: datetime) -> Overrides:
        try:
            if self._folder_identity not in (None, overrides.identity(self._folder)):
                hint = "bring the folder back, or restart the agent"
                raise overrides.HoldsUnreadable(f"{self._folder} is not the folder that the agent started with", hint)
            found = overrides.load(self._folder)
        except overrides.HoldsUnreadable as error:
            self._host_report.raise_alert("holds-unreadable", str(error), now, "critical")
            return Overrides(readable=False)
        self._host_report.clear_alert("holds-unreadable")
        return found

    def _may_only_observe(self, now: datetime) -> bool:
        """Whether the engine is one on which nothing may be removed. It is an alert where more was configured."""
        engine = self._view.engine
        why = engine.observe_only if engine is not None else ""
        if why and not self._rules.observe:
            if OBSERVE_ALERT not in self._host_report.alerts:
                log.warning("observe mode is forced", action="observe", why=why)
            self._host_report.raise_alert(
                OBSERVE_ALERT, f"nothing is removed here, whatever agent.mode says: {why}", now
            )
        else:
            self._host_report.clear_alert(OBSERVE_ALERT)
        return bool(why)

    # Observe mode: the same plan without the act

    async def _observe(self, done: SweepResult) -> None:
        for item in done.plan.decisions:
            if item.held_by is HeldBy.OBSERVE and await self._evictor.note_would_remove(item):
                done.outcomes[item.image.id] = Outcome.WOULD_REMOVE

    # Evicting

    async def _evict(self, done: SweepResult) -> None:
        """What is planned; and where less was freed than estimated, what the pressure that is left asks for."""
        tried: set[str] = set()
        while coming := [item for item in done.plan.evictions if item.image.id not in tried]:
            for planned in coming:
                if tried:
                    await self._clock.sleep(self._pause)
                else:
                    await self._ingestor.audit()
                tried.add(planned.image.id)
                await self._ingestor.refresh()
                done.plan = await self.plan()
                if planning.passes_recheck(planned, done.plan):
                    done.add(planned.image.id, await self._evictor.evict(_current(planned, done.plan)))
            if done.outcomes:
                done.plan = await self.plan()

    # Showing

    async def _report(self, done: SweepResult) -> None:
        now = self._clock.now()
        if done.outcomes:
            mode = "observe" if done.plan.held_by is HeldBy.OBSERVE else "enforce"
            event = new_events.sweep(
                done.initial_plan, done.plan, mode, done.outcomes.values(), now, done.measured_bytes
            )
            await self._store.log(event)
            await asyncio.get_running_loop().run_in_executor(None, database.keep_reserve, self._folder)
        await self._reporter.show(done.plan)

    # Waiting

    async def _sleep_until(self, due: datetime | None) -> None:
        """Until the next deadline, or until something changes; a burst of changes counts once."""
        seconds = self._timing.max_sleep
        if due is not None:
            seconds = min(seconds, max(0.0, (due - self._clock.now()).total_seconds()))
        if self._pressing:
            seconds = min(seconds, self._timing.pressure_retry)
        if self._failures:  # a host in trouble is left alone, longer each time
            retry = self._timing.retry_delay * 2 ** min(self._failures - 1, 10)
            seconds = min(self._timing.max_sleep, retry)
        if not self._view.clock_trusted:
            seconds = min(seconds, timekeeping.SETTLING)
        if self._failures:
            await self._clock.sleep(seconds)
            return
        sleeper = asyncio.create_task(self._clock.sleep(seconds), name="sleep-until-due")
        waker = asyncio.create_task(self._view.changed.wait(), name="wake-on-change")
        try:
            await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
            if not sleeper.done():
                await self._clock.sleep(self._timing.coalesce)
        finally:
            for task in (sleeper, waker):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _look_at_holds(self) -> None:
        seen = overrides.stamp(self._folder)
        while True:
            await self._clock.sleep(self._timing.overrides_poll)
            now = overrides.stamp(self._folder)
            if now != seen:
                seen = now
                self._view.changed.set()

    async def _look_at_disk(self) -> None:
        """A disk fills up without an event: a training run writes, a pull is under way."""
        while self._rules.pressure.high is not None:
            await self._clock.sleep(self._timing.disk_poll)
            space = self._view.space()
            if self._pressing != pressure.is_under_pressure(self._rules.pressure, space, 0, before=self._pressing):
                self._view.changed.set()


def _current(planned: Decision, fresh: Plan) -> Decision:
    """The decision as the recheck sees it; a parent that follows its child keeps the reason to."""
    now = next(item for item in fresh.decisions if item.image.id == planned.image.id)
    if now.action is Action.EVICT:
        return now
    return replace(now, action=planned.action, reason=planned.reason, explanation=planned.explanation)
