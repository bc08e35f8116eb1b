"""Gathers what one answer shows from the parts of the agent."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.adapters import folder as folders
from agent.adapters.clock import Clock
from agent.adapters.sqlite.store import Store
from agent.adapters.state_errors import StateError
from agent.core.figures import EventCounts, Figures, Waiting
from agent.core.policy import totals
from agent.core.policy.decision import Plan
from agent.core.policy.disk import DiskUsage
from agent.core.protocol import payloads
from agent.http.health import Condition
from agent.reporting.host_report import HostReport
from agent.tracking.engine_view import EngineView


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one scrape shows. None: not known."""

    now: datetime
    engine_version: str
    watched: bool
    enforcing: bool
    alerts: tuple[payloads.Alert, ...]
    figures: Figures
    counts: EventCounts | None  # None: the state cannot be read now
    waiting: Waiting | None  # None: no broker is set, or the state cannot be read now
    broker: bool  # whether one is set
    plan: Plan | None
    disk: DiskUsage | None
    stopped_bytes: int  # of images that only stopped containers keep
    certificate_expires: datetime | None


class Gatherer:
    """Reads the present facts of one agent."""

    def __init__(
        self,
        *,
        view: EngineView,
        host_report: HostReport,
        store: Store,
        clock: Clock,
        folder: Path,
        observe: Callable[[], bool],
        broker: bool,
    ) -> None:
        """`observe`: whether the settings ask for observe mode now. `broker`: whether one is set."""
        self._view = view
        self._host_report = host_report
        self._store = store
        self._clock = clock
        self._folder = folder
        self._observe = observe
        self._broker = broker

    async def condition(self) -> Condition:
        """What readiness depends on. It writes a file to the state folder, which has no name and is gone at once."""
        return Condition(
            watched=self._view.proven,
            swept=self._host_report.figures.last_sweep is not None,
            state_error=await asyncio.to_thread(_why_not_writable, self._folder),
            alerts=dict(self._host_report.alerts),
        )

    async def facts(self) -> Facts:
        """What one scrape shows."""
        engine, plan = self._view.engine, self._host_report.plan
        counts, waiting = await self._from_state()
        return Facts(
            now=self._clock.now(),
            engine_version=engine.version if engine is not None else "",
            watched=self._view.proven,
            enforcing=not self._observe() and not (engine is not None and engine.observe_only),
            alerts=tuple(self._host_report.alerts.values()),
            figures=self._host_report.figures,
            counts=counts,
            waiting=waiting,
            broker=self._broker,
            plan=plan,
            disk=await asyncio.to_thread(self._view.space),
            stopped_bytes=self._stopped_bytes(plan),
            certificate_expires=self._host_report.certificate_expires,
        )

    async def _from_state(self) -> tuple[EventCounts | None, Waiting | None]:
        """What the state has counted; None where it cannot be read: the other figures are shown all the same."""
        try:
            return await self._store.count_events(), await self._store.load_waiting() if self._broker else None
        except StateError:
            return None, None

    def _stopped_bytes(self, plan: Plan | None) -> int:
        if plan is None:
            return 0
        containers = self._view.snapshot(plan.at).containers
        return sum(item.decision.estimated_bytes for item in totals.stopped(plan, containers))


def _why_not_writable(folder: Path) -> str:
    try:
        folders.probe(folder)
    except StateError as error:
        return str(error)
    return ""
