"""One host in memory: its row, and what the next row depends on."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from agent.core import text
from agent.core.policy.decision import Outcome
from agent.core.protocol import payloads
from agent.fleet.live import bounds, build_row, conditions
from agent.fleet.live.build_row import STALE_AFTER
from agent.fleet.live.moments import milliseconds
from agent.fleet.live.row import HostRow, StandingAlert
from agent.fleet.live.summary import NO_INVENTORY, InventorySummary

# A sign of life alone is shown this late: at one each minute from each host it would be nearly all that viewers get.
SHOW_SEEN_AFTER = timedelta(minutes=2)
SEEN_EVERY = 1000  # milliseconds
MAX_ALERTS = 100  # of one host; an agent has two dozen

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
    """A host, from the messages that it sent. Decoded messages are not kept.

    Its `row` is made when somebody looks at it: many messages may come before that.
    """

    _row: HostRow
    _news: dict[str, Any] = field(default_factory=dict)  # fields that differ from `_row`
    status: Literal["online", "offline"] | None = None  # as its last status says; None: it has none
    has_info: bool = False
    has_inventory: bool = False
    next_eviction: int | None = None  # as in the inventory, whatever the mode
    alerts: dict[str, StandingAlert] = field(default_factory=dict)
    decided: Decided | None = None
    is_changed: bool = True  # in more than `last_seen`, since `take_news`
    sent_seen: int = 0  # the `last_seen` of the last `take_news`

    @classmethod
    def of(cls, row: HostRow) -> "LiveHost":
        """A host as the history knows it. Nothing is known of its state and its alerts until messages come."""
        return cls(
            replace(row, state="unknown", warnings=0, criticals=0),
            has_info=row.version is not None,
            has_inventory=row.images is not None,
            next_eviction=row.next_eviction,
            is_changed=False,
        )

    @property
    def row(self) -> HostRow:
        """As of the last message."""
        if self._news:
            self._row, self._news = replace(self._row, **self._news), {}
        return self._row

    @property
    def is_known(self) -> bool:
        """Whether it has any retained topic."""
        own_alerts = self.alerts.keys() - conditions.ALERTS
        return self.status is not None or self.has_info or self.has_inventory or bool(own_alerts)

    @property
    def silent_at(self) -> int | None:
        """When it will be stale, unless it gives a sign of life before; None: it is not online."""
        seen = self._get("last_seen")
        return seen + _STALE_AFTER_MS + 1 if seen is not None and self._get("state") == "online" else None

    def take_news(self) -> bool:
        """Whether viewers lack something of the row. They have it from then on."""
        seen = self._get("last_seen") or 0
        if not self.is_changed and seen - self.sent_seen < _SHOW_SEEN_AFTER_MS:
            return False
        self.is_changed, self.sent_seen = False, seen
        return True

    def see(self, at: int | None) -> None:
        """It was alive at this time; None: nothing shows that. In a burst of messages, one a second counts."""
        seen = self._get("last_seen")
        if at is not None and (seen is None or at - seen >= SEEN_EVERY):
            self._news["last_seen"] = at

    def set_status(self, status: payloads.Status | None) -> None:
        self.status = status.state if status else None

    def set_info(self, info: payloads.Info | None, now: datetime) -> None:
        self.has_info = info is not None
        self._set(**build_row.said_by(info, now))
        self._show_next_eviction()

    def set_inventory(self, found: InventorySummary | None) -> None:
        """Take over what an inventory shows; what was freed is counted from events."""
        self.has_inventory = found is not None
        summary = found or NO_INVENTORY
        self.next_eviction = summary.next_eviction
        self._set(
            images=summary.images,
            images_left_out=summary.images_left_out,
            disk_used_bytes=summary.disk_used_bytes,
            disk_total_bytes=summary.disk_total_bytes,
            reclaimable_bytes=summary.reclaimable_bytes,
        )
        self._show_next_eviction()
        if summary.last_decision_at is not None:
            self._show_decision(summary.last_decision_at, summary.last_outcome)

    def set_alert(self, alert_id: str, alert: StandingAlert | None) -> bool:
        """Raise or end an alert. Returns False if that changes nothing."""
        if alert is not None and len(self.alerts) >= MAX_ALERTS and alert_id not in self.alerts:
            return False
        if alert is not None:
            alert = replace(alert, message=text.shortened(alert.message, bounds.LONGEST_MESSAGE))
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
        self.decided = Decided(data.decision_id, data.reason, data.mode.value, bounds.freed(data.estimated_bytes))
        self._show_decision(milliseconds(at), None)

    def end(self, data: payloads.OutcomeData, at: datetime) -> Decided | None:
        """The outcome of a decision. Returns the decision, if it was the last one."""
        decided = self.decided if self.decided and self.decided.decision_id == data.decision_id else None
        freed = self._get("freed_24h_bytes") + freed_bytes(data, decided)
        if decided is not None:
            self._set(last_outcome=data.outcome.value, freed_24h_bytes=freed)
        else:
            self._set(freed_24h_bytes=freed)
            self._show_decision(milliseconds(at), data.outcome.value)
        return decided

    def add_figures(self, *, freed: int = 0, regrets: int = 0) -> None:
        self._set(freed_24h_bytes=self._get("freed_24h_bytes") + freed, regrets_30d=self._get("regrets_30d") + regrets)

    def set_figures(self, *, freed: int, regrets: int) -> None:
        self._set(freed_24h_bytes=freed, regrets_30d=regrets)

    def show_state(self, now: int) -> None:
        self._set(state=build_row.state_of(self.status, self._get("last_seen"), now))

    def _show_decision(self, at: int, outcome: str | None) -> None:
        last = self._get("last_decision_at")
        if last is None or at >= last:
            self._set(last_decision_at=at, last_outcome=outcome)

    def _show_next_eviction(self) -> None:
        self._set(next_eviction=build_row.next_eviction_in(self._get("mode"), self.next_eviction))

    def _set(self, **changes: Any) -> None:
        for name, value in changes.items():
            if self._get(name) != value:
                self._news[name] = value
                self.is_changed = True

    def _get(self, name: str) -> Any:
        """A field of the row."""
        return self._news[name] if name in self._news else getattr(self._row, name)


def freed_bytes(data: payloads.OutcomeData, decided: Decided | None) -> int:
    """What an eviction freed: as the host measured it, else the estimate of its decision."""
    if data.measured_bytes is not None:
        return bounds.freed(data.measured_bytes)
    return decided.estimated_bytes if decided and data.outcome is Outcome.REMOVED else 0
