"""Reads all inputs of a plan at one moment, and makes the plan by the pure `planning.plan`."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from agent.adapters import overrides
from agent.adapters.clock import Clock
from agent.adapters.sqlite.store import Store
from agent.core.policy import grace as grace_period
from agent.core.policy import limits, planning, pressure
from agent.core.policy.decide import Context
from agent.core.policy.decision import Plan
from agent.core.policy.grace import PendingPolicy, PolicyHistory
from agent.core.policy.kept_answers import KeptAnswers
from agent.core.policy.overrides import Overrides
from agent.core.policy.settings import Policy
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.reporting.host_report import HostReport
from agent.tracking.ingestor import EventIngestor


@dataclass(slots=True)
class _Terms:
    """A policy in force. A reload replaces the whole object, so each plan is made by one policy and its own grace."""

    rules: Policy
    grace: timedelta
    history: PolicyHistory | None = None  # None: not loaded yet; loading it begins the grace of a changed policy


class Planner:
    """Makes plans for one engine. Changes nothing on it."""

    def __init__(
        self,
        ingestor: EventIngestor,
        store: Store,
        clock: Clock,
        host_report: HostReport,
        *,
        rules: Policy,
        folder: Path,
        grace: timedelta,
    ) -> None:
        """`folder`: has the overrides. `grace`: how long evictions wait that only a changed policy causes."""
        self._ingestor = ingestor
        self._view = ingestor.view
        self._store = store
        self._clock = clock
        self._host_report = host_report
        self._terms = _Terms(rules, grace)
        self._folder = folder
        self._folder_identity = overrides.identity(folder)
        self._kept = KeptAnswers()
        self.under_pressure = False  # as of the last plan

    async def plan(self, *, ahead: timedelta = timedelta(), instead: Policy | None = None) -> Plan:
        """Make the plan that a sweep would carry out now.

        `ahead`: plan for this much later, assuming no further use. `instead`: plan under another policy.
        """
        await self._ingestor.check_clock()
        terms = self._terms
        now, view = self._clock.now(), self._view
        context = await self._load_context(now, terms)
        if instead is not None:
            context = replace(context, pending_policy=None)
        rules = instead or terms.rules
        kept = None if ahead or instead else self._kept  # what people look at counts time to the second
        found = planning.plan(view.snapshot(now), view.verdicts, view.tracker.usages, rules, now + ahead, context, kept)
        self.under_pressure = found.under_pressure
        return found

    def take(self, rules: Policy, grace: timedelta) -> None:
        """Make all later plans by another policy, as after a restart with it. A plan in progress is not changed."""
        self._terms = _Terms(rules, grace)

    async def load_context(self, now: datetime) -> Context:
        """Load all inputs of a plan except the images, their usage and the policy."""
        return await self._load_context(now, self._terms)

    async def _load_context(self, now: datetime, terms: _Terms) -> Context:
        view = self._view
        engine_store = view.engine_store if view.engine is not None else None
        return Context(
            overrides=self.load_overrides(now),
            proven=view.current,
            observe_only=self._may_only_observe(now, terms.rules),
            clock_trusted=view.clock_trusted,
            gap_end=view.gap_end,
            machine_off=view.absences,
            past_evictions=await self._store.load_past_evictions(now - limits.HOUR),
            backoff=await engine_store.load_backoff() if engine_store is not None else {},
            disk=view.space(),
            under_pressure=self.under_pressure,
            pending_policy=await self._pending_policy(now, terms),
        )

    async def _pending_policy(self, now: datetime, terms: _Terms) -> PendingPolicy | None:
        """The policy change whose grace period has not ended; None if there is none."""
        if terms.history is None:
            kept = await self._store.load_policies()
            policies = grace_period.load(kept, terms.rules, now, terms.grace)
            text = grace_period.encode(policies)
            if text != kept:
                await self._store.save_policies(text)
            terms.history = policies
        return grace_period.change(terms.history, terms.grace)

    def load_overrides(self, now: datetime) -> Overrides:
        """Read the pins and the pause, and report the pause. Raises an alert if they cannot be read."""
        found = self._read_overrides(now)
        self._host_report.show_pause(_pause(found, now), now)
        return found

    def _read_overrides(self, now: datetime) -> Overrides:
        try:
            if self._folder_identity not in (None, overrides.identity(self._folder)):
                detail = f"{self._folder} is not the folder that the agent started with"
                raise overrides.OverridesUnreadable(detail, "bring the folder back, or restart the agent")
            found = overrides.load(self._folder)
        except overrides.OverridesUnreadable as error:
            self._host_report.raise_alert(AlertId.HOLDS_UNREADABLE, str(error), now, "critical")
            return Overrides(readable=False)
        self._host_report.clear_alert(AlertId.HOLDS_UNREADABLE)
        return found

    def _may_only_observe(self, now: datetime, rules: Policy) -> bool:
        """Whether nothing may be removed on this engine. Raises an alert if the configuration asks for more."""
        engine = self._view.engine
        why = engine.observe_only if engine is not None else ""
        if why and not rules.observe:
            self._host_report.raise_alert(
                AlertId.ENGINE_OBSERVE_ONLY, f"nothing is removed here, whatever agent.mode says: {why}", now
            )
        else:
            self._host_report.clear_alert(AlertId.ENGINE_OBSERVE_ONLY)
        return bool(why)

    @property
    def depends_on_disk(self) -> bool:
        """Whether the file system's usage can change a plan."""
        return self._terms.rules.pressure.high is not None

    def disk_changes_pressure(self) -> bool:
        """Whether the file system's usage now starts or ends the pressure of the last plan."""
        limits_of_disk = self._terms.rules.pressure
        now = pressure.is_under_pressure(limits_of_disk, self._view.space(), 0, before=self.under_pressure)
        return now != self.under_pressure


def _pause(found: Overrides, now: datetime) -> payloads.Pause | None:
    """What holds all evictions of the host: a pause, or that the file with the pins and the pause cannot be read."""
    if not found.readable:
        return payloads.Pause(until=None, reason="the file with the pins and the pause cannot be read")
    return payloads.Pause(until=found.paused_until, reason=found.pause_reason) if found.is_paused(now) else None
