"""The agent's present state as others see it: the loops write it, and the publisher sends it as retained messages."""

import asyncio
from datetime import datetime
from typing import Literal

from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.reporting.pending_inventory import PendingInventory


class HostReport:
    """The latest info, inventory and alerts. `changed` is set whenever one of them changes.

    The pause is part of the info. It is reported apart, because it changes without a new connection to the engine.
    """

    def __init__(self) -> None:
        self.info: payloads.Info | None = None
        self.inventory: PendingInventory | None = None
        self.alerts: dict[str, payloads.Alert] = {}
        self.pause: payloads.Pause | None = None
        self.changed = asyncio.Event()

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

    def raise_alert(
        self,
        alert_id: AlertId,
        message: str,
        since: datetime,
        severity: Literal["warning", "critical"] = "warning",
    ) -> None:
        """Show an alert until it is cleared. Raised again, it keeps its first `since`."""
        standing = self.alerts.get(alert_id)
        if standing is not None and standing.message == message:
            return
        self.alerts[alert_id] = payloads.Alert(
            id=alert_id, severity=severity, message=message, since=standing.since if standing else since
        )
        self.changed.set()

    def clear_alert(self, alert_id: AlertId) -> None:
        if self.alerts.pop(alert_id, None) is not None:
            self.changed.set()
