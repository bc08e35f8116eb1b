"""One host in memory: its row, and what the next row depends on."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from agent.core import text
from agent.core.policy.decision import Outcome
from agent.core.protocol import payloads
from agent.fleet.live import conditions, fields
from agent.fleet.live.fields import ms
from agent.fleet.live.row import HostRow, StandingAlert, State

STALE_AFTER = timedelta(minutes=3)  # three status messages are missing
# A sign of life alone is shown this late: at one each minute from each host it would be nearly all that viewers get.
SHOW_SEEN_AFTER = timedelta(minutes=2)
MAX_ALERTS = 100  # of one host; an agent has two dozen
LONGEST_MESSAGE = 2000  # characters

_STALE_AFTER_MS = STALE_AFTER // timedelta(milliseconds=1)
_SHOW_SEEN_AFTER_MS = SHOW_SEEN_AFTER // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Decided:
    """The last decision to evict: what its outcome does not repeat."""

    decision_id: str
    reason: str
    mode: str
    estimated_bytes: int


@dataclass(slots=True)
class LiveHost:
    """A host, from the messages that it sent. Its methods replace `row`; decoded messages are not kept."""

    row: HostRow
    online: bool | None = None  # by its last status; None: it has none
    has_info: bool = False
    has_inventory: bool = False
    next_eviction: int | None = None  # as in the inventory, whatever the mode
    alerts: dict[str, StandingAlert] = field(default_factory=dict)
    decided: Decided | None = None
    sent_seen: int = 0  # the `last_seen` that viewers were sent

    @classmethod
    def of(cls, row: HostRow) -> "LiveHost":
        """A host as the history knows it. Nothing is known of its state and its alerts until messages come."""
        return cls(
            replace(row, state="unknown", warnings=0, criticals=0),
            has_info=row.version is not None,
            has_inventory=row.images is not None,
            next_eviction=row.next_eviction,
        )

    @property
    def is_known(self) -> bool:
        """Whether it has any retained topic."""
        own_alerts = self.alerts.keys() - conditions.ALERTS
        return self.online is not None or self.has_info or self.has_inventory or bool(own_alerts)

    @property
    def silent_at(self) -> int | None:
        """When it will be stale, unless it gives a sign of life before; None: it is not online."""
        online = self.row.state == "online" and self.row.last_seen is not None
        return (self.row.last_seen or 0) + _STALE_AFTER_MS + 1 if online else None

    def has_news(self, before: HostRow) -> bool:
        """Whether viewers lack something, if they had the row `before`."""
        seen = self.row.last_seen or 0
        if replace(before, last_seen=self.row.last_seen) == self.row and seen - self.sent_seen < _SHOW_SEEN_AFTER_MS:
            return False
        self.sent_seen = seen
        return True

    def state(self, now: int) -> State:
        if self.online is None:
            return "unknown"
        if not self.online:
            return "offline"
        silent = self.row.last_seen is None or now - self.row.last_seen > _STALE_AFTER_MS
        return "stale" if silent else "online"

    def see(self, at: int | None) -> None:
        """It was alive at this time; None: nothing shows that."""
        if at is not None and (self.row.last_seen is None or at > self.row.last_seen):
            self.row = replace(self.row, last_seen=at)

    def set_status(self, status: payloads.Status | None) -> None:
        self.online = None if status is None else status.state == "online"

    def set_info(self, info: payloads.Info | None) -> None:
        self.has_info = info is not None
        self._set(**fields.of_info(info))
        self._show_next_eviction()

    def set_inventory(self, inventory: payloads.Inventory | None) -> None:
        self.has_inventory = inventory is not None
        self.next_eviction = fields.next_eviction(inventory) if inventory else None
        self._set(**fields.of_inventory(inventory))
        self._show_next_eviction()
        last = fields.last_decision(inventory) if inventory else None
        if last is not None:
            self._show_decision(ms(last.at), last.outcome)

    def set_alert(self, alert_id: str, alert: StandingAlert | None) -> bool:
        """Raise or end an alert. Returns False if that changes nothing."""
        if alert is not None and len(self.alerts) >= MAX_ALERTS and alert_id not in self.alerts:
            return False
        if alert is not None:
            alert = replace(alert, message=text.shortened(alert.message, LONGEST_MESSAGE))
        if self.alerts.get(alert_id) == alert:
            return False
        if alert is None:
            del self.alerts[alert_id]
        else:
            self.alerts[alert_id] = alert
        criticals = sum(alert.severity == "critical" for alert in self.alerts.values())
        self._set(criticals=criticals, warnings=len(self.alerts) - criticals)
        return True

    def decide(self, data: payloads.DecisionData, at: datetime) -> None:
        self.decided = Decided(data.decision_id, data.reason, data.mode.value, data.estimated_bytes)
        self._show_decision(ms(at), None)

    def end(self, data: payloads.OutcomeData, at: datetime) -> Decided | None:
        """The outcome of a decision. Returns the decision, if it was the last one."""
        decided = self.decided if self.decided and self.decided.decision_id == data.decision_id else None
        self.add_figures(freed=freed_bytes(data, decided))
        if decided is not None:
            self._set(last_outcome=data.outcome.value)
        else:
            self._show_decision(ms(at), data.outcome.value)
        return decided

    def add_figures(self, *, freed: int = 0, regrets: int = 0) -> None:
        self._set(freed_24h_bytes=self.row.freed_24h_bytes + max(freed, 0), regrets_30d=self.row.regrets_30d + regrets)

    def set_figures(self, *, freed: int, regrets: int) -> None:
        self._set(freed_24h_bytes=freed, regrets_30d=regrets)

    def show_state(self, now: int) -> None:
        state = self.state(now)
        if state != self.row.state:
            self._set(state=state)

    def _show_decision(self, at: int, outcome: str | None) -> None:
        if self.row.last_decision_at is None or at >= self.row.last_decision_at:
            self._set(last_decision_at=at, last_outcome=outcome)

    def _show_next_eviction(self) -> None:
        observes = self.row.mode == "observe"
        self._set(next_eviction=None if observes else self.next_eviction)

    def _set(self, **changes: Any) -> None:
        self.row = replace(self.row, **changes)


def freed_bytes(data: payloads.OutcomeData, decided: Decided | None) -> int:
    """What an eviction freed: as the host measured it, else the estimate of its decision."""
    if data.measured_bytes is not None:
        return max(data.measured_bytes, 0)
    return decided.estimated_bytes if decided and data.outcome is Outcome.REMOVED else 0
