"""The agent's present state as others see it: the loops write it, and the publisher sends it as retained messages."""

import asyncio
from datetime import datetime
from typing import Literal

import structlog

from agent.core import units
from agent.core.figures import Figures
from agent.core.policy.decision import Plan
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.reporting.pending_inventory import PendingInventory

log = structlog.get_logger()


class HostReport:
    """The latest info, inventory and alerts. `changed` is set whenever one of them changes.

    The pause is part of the info. It is reported apart, because it changes without a new connection to the engine.
    """

    def __init__(self, figures: Figures | None = None) -> None:
        """`figures`: those that the tracking counts in; all parts of one agent share them."""
        self.info: payloads.Info | None = None
        self.inventory: PendingInventory | None = None
        self.alerts: dict[str, payloads.Alert] = {}
        self.pause: payloads.Pause | None = None
        self.changed = asyncio.Event()
        self.alerts_changed = asyncio.Event()  # apart, as each event has one reader that clears it
        self.figures = figures or Figures()
        self.plan: Plan | None = None  # of the last sweep
        self.planned = asyncio.Event()  # set once there is a plan
        self.certificate_expires: datetime | None = None  # the end of this agent's certificate at the broker

    def show_info(self, info: payloads.Info) -> None:
        self.info = info.model_copy(update={"paused": self.pause})
        self.changed.set()

    def show_pause(self, pause: payloads.Pause | None, at: datetime) -> None:
        """Show a pause in the info, or that there is none."""
        if pause == self.pause:
            return
        self.pause = pause
        if self.info is not None:
            self.info = self.info.model_copy(update={"paused": pause, "at": at})
            self.changed.set()

    def show_inventory(self, inventory: PendingInventory) -> None:
        self.inventory = inventory
        self.changed.set()

    def show_plan(self, plan: Plan) -> None:
        """Keep the plan after a sweep, for the metrics and the daily line in the log."""
        self.plan = plan
        self.figures.last_sweep = plan.at
        self.planned.set()

    def raise_alert(
        self,
        alert_id: AlertId,
        message: str,
        since: datetime,
        severity: Literal["warning", "critical"] = "warning",
    ) -> None:
        """Show an alert until it is cleared. Raised again, it keeps its first `since`.

        It is logged when it begins, and again only if it becomes critical: its message may change often.
        """
        standing = self.alerts.get(alert_id)
        if standing is not None and (standing.message, standing.severity) == (message, severity):
            return
        alert = payloads.Alert(
            id=alert_id, severity=severity, message=message, since=standing.since if standing else since
        )
        self.alerts[alert_id] = alert
        self.changed.set()
        self.alerts_changed.set()
        if standing is None or standing.severity != severity:
            _log_begin(alert)

    def clear_alert(self, alert_id: AlertId) -> None:
        ended = self.alerts.pop(alert_id, None)
        if ended is not None:
            self.changed.set()
            self.alerts_changed.set()
            since = units.format_time(ended.since.replace(microsecond=0))
            log.info("an alert ended", action="alert", state="ended", alert=ended.id, since=since)


def _log_begin(alert: payloads.Alert) -> None:
    write = log.error if alert.severity == "critical" else log.warning
    write(alert.message, action="alert", state="began", alert=alert.id, severity=alert.severity)
