"""Plans and evicts: sleeps until the next deadline, wakes on changes, and removes one image at a time.

Before each removal, it lists the engine again and makes a new plan. The decision and the journal row are on disk before
the first reference is removed.
"""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from agent import pulse as pulses
from agent.adapters import overrides, reserve
from agent.adapters.clock import Clock
from agent.adapters.engine import EngineError
from agent.adapters.sqlite.store import Store
from agent.adapters.state_errors import StateFull
from agent.core import timekeeping
from agent.core.policy import planning
from agent.core.policy.decision import Action, Decision, HeldBy, Outcome, Plan
from agent.core.policy.settings import Policy
from agent.core.protocol import new_events
from agent.core.protocol.alerts import AlertId
from agent.eviction.build_cache import BuildCachePruner
from agent.eviction.evictor import Evictor
from agent.eviction.plan_reporter import PlanReporter
from agent.eviction.planner import Planner
from agent.eviction.results import SweepResult
from agent.eviction.timing import EvictionTiming
from agent.pulse import Pulse
from agent.reporting.host_report import HostReport
from agent.tracking.ingestor import EventIngestor


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """The rate of evictions, and the waits of the sweeper."""

    pause: timedelta = timedelta()  # between two removals
    grace: timedelta = timedelta()  # how long evictions wait that only a changed policy causes
    timing: EvictionTiming = EvictionTiming()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSteps:
    """The objects that do the steps of a sweep."""

    planner: Planner
    evictor: Evictor
    build_cache: BuildCachePruner
    reporter: PlanReporter


_AT_ONCE = Pacing()
SWEEP = "sweep"  # the work of the pulse


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
        folder: Path,
        pacing: Pacing = _AT_ONCE,
        pulse: Pulse | None = None,
    ) -> None:
        self._ingestor = ingestor
        self._view = ingestor.view
        self._store = store
        self._clock = clock
        self._host_report = host_report
        self._folder = folder
        self._planner = steps.planner
        self._evictor = steps.evictor
        self._build_cache = steps.build_cache
        self._reporter = steps.reporter
        self._timing = pacing.timing
        self._pause = pacing.pause.total_seconds()
        self._pulse = pulse or Pulse()
        self._failures = 0  # sweeps in a row that failed because of the engine or the disk

    def take(self, rules: Policy, *, pause: timedelta, grace: timedelta) -> None:
        """Use another policy from the next plan on, and make that now: the recheck of a removal in progress, too."""
        self._planner.take(rules, grace)
        self._build_cache.take(rules.build_cache_after)
        self._reporter.take(rules)
        self._pause = pause.total_seconds()
        self._view.changed.set()

    async def run(self) -> None:
        """Sweep for ever. If the engine or the disk fails, wait and try again; nothing is evicted meanwhile."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_overrides(), name="watch-overrides")
            group.create_task(self._watch_disk(), name="watch-disk")
            while True:
                self._view.changed.clear()
                latest = await self._try_sweep()
                await self._sleep_until(latest.plan.next_due if latest is not None else None)

    async def _try_sweep(self) -> SweepResult | None:
        if self._view.engine is None:
            return None
        began = self._clock.monotonic()
        try:
            with self._pulse.busy(SWEEP, pulses.LIMIT + self._pause):
                latest = await self.sweep()
        except (EngineError, StateFull) as error:
            self._note_failure(error)
            return None
        self._host_report.figures.sweep_seconds.observe(self._clock.monotonic() - began)
        self._failures = 0
        for alert in (AlertId.SWEEP_FAILED, AlertId.STATE_FULL):
            self._host_report.clear_alert(alert)  # a finished sweep shows that the engine and the disk work
        return latest

    def _note_failure(self, error: Exception) -> None:
        """Raise an alert for a failed sweep. The wait until the next sweep grows with each failure in a row."""
        self._failures += 1
        alert = AlertId.STATE_FULL if isinstance(error, StateFull) else AlertId.SWEEP_FAILED
        message = f"the sweep stopped, and nothing more was evicted: {error}"
        self._host_report.raise_alert(
            alert, message, self._clock.now(), "critical" if alert == AlertId.STATE_FULL else "warning"
        )

    async def sweep(self, *, dry_run: bool = False) -> SweepResult:
        """Plan for all images and evict. Raises EngineError, StateFull; evictions until then are recorded."""
        if self._view.proven and not dry_run:
            await self._evictor.settle_interrupted()
        first = await self._planner.plan()
        done = SweepResult(first, first)
        if dry_run:
            done.outcomes = {item.image.id: Outcome.WOULD_REMOVE for item in done.plan.evictions}
            return done
        await self._ingestor.protect(done.plan.decisions)
        await self._observe(done)
        await self._evict(done)
        await self._build_cache.sweep(done.plan.held_by)
        self._host_report.figures.build_cache_bytes = self._build_cache.total_bytes
        await self._report(done)
        return done

    # Observe mode: the same plan without evictions

    async def _observe(self, done: SweepResult) -> None:
        for item in done.plan.decisions:
            if item.held_by is HeldBy.OBSERVE and await self._evictor.note_would_remove(item):
                done.outcomes[item.image.id] = Outcome.WOULD_REMOVE

    # Evicting

    async def _evict(self, done: SweepResult) -> None:
        """Evict the planned images. Under disk pressure, plan again and continue if they freed less than estimated."""
        tried: set[str] = set()
        while coming := [item for item in done.plan.evictions if item.image.id not in tried]:
            for planned in coming:
                if tried:
                    await self._clock.sleep(self._pause)
                else:
                    await self._ingestor.audit()
                tried.add(planned.image.id)
                self._pulse.renew(SWEEP)
                await self._ingestor.refresh()
                done.plan = await self._planner.plan()
                if planning.passes_recheck(planned, done.plan):
                    done.add(planned.image.id, await self._evictor.evict(_current(planned, done.plan)))
            if done.outcomes:
                done.plan = await self._planner.plan()

    # Showing

    async def _report(self, done: SweepResult) -> None:
        now = self._clock.now()
        if done.outcomes:
            event = new_events.sweep(done.initial_plan, done.plan, done.outcomes.values(), now, done.measured_bytes)
            await self._store.log(event)
            await asyncio.get_running_loop().run_in_executor(None, reserve.keep, self._folder)
        await self._reporter.show(done.plan)

    # Waiting

    async def _sleep_until(self, due: datetime | None) -> None:
        """Sleep until the next deadline or the next change. A burst of changes counts as one."""
        seconds = self._timing.max_sleep
        if due is not None:
            seconds = min(seconds, max(0.0, (due - self._clock.now()).total_seconds()))
        if self._planner.under_pressure:
            seconds = min(seconds, self._timing.pressure_retry)
        if self._failures:  # the wait doubles with each failure
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

    async def _watch_overrides(self) -> None:
        """Plan again when the overrides change. Report the pause from the start, even while there is no engine."""
        seen = overrides.stamp(self._folder)
        self._planner.load_overrides(self._clock.now())
        while True:
            await self._clock.sleep(self._timing.overrides_poll)
            stamp = overrides.stamp(self._folder)
            if stamp != seen:
                seen = stamp
                self._view.changed.set()
                self._planner.load_overrides(self._clock.now())
            elif self._pause_has_ended():
                self._planner.load_overrides(self._clock.now())

    def _pause_has_ended(self) -> bool:
        pause = self._host_report.pause
        return pause is not None and pause.until is not None and pause.until <= self._clock.now()

    async def _watch_disk(self) -> None:
        """Poll the disk, as it can fill up without an event: a training run writes, or a pull is in progress."""
        while True:
            await self._clock.sleep(self._timing.disk_poll)
            if self._planner.depends_on_disk and self._planner.disk_changes_pressure():
                self._view.changed.set()


def _current(planned: Decision, fresh: Plan) -> Decision:
    """The decision of the new plan; for a base image that follows its child, the planned action and reason."""
    now = next(item for item in fresh.decisions if item.image.id == planned.image.id)
    if now.action is Action.EVICT:
        return now
    return replace(now, action=planned.action, reason=planned.reason, explanation=planned.explanation)
