"""One host as viewers see it: a frozen row, replaced at each change."""

from dataclasses import dataclass, fields
from typing import Literal

from agent.core.protocol import payloads

State = Literal["online", "stale", "offline", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """What the list of hosts shows of one host. Times are milliseconds since 1970; None: unknown."""

    host: str
    state: State = "unknown"
    mode: str | None = None
    paused: bool | None = None
    version: str | None = None
    last_seen: int | None = None
    images: int | None = None  # with those that were left out of its inventory
    images_left_out: int = 0
    disk_used_bytes: int | None = None
    disk_total_bytes: int | None = None
    high: float | None = None  # pressure.high of its own policy, as a share
    reclaimable_bytes: int | None = None  # due now
    next_eviction: int | None = None  # the earliest deadline of an image that is not held
    warnings: int = 0  # standing alerts of severity warning
    criticals: int = 0
    last_decision_at: int | None = None
    last_outcome: str | None = None  # removed, refused, failed, would-remove; None: pending or no decision
    freed_24h_bytes: int = 0
    regrets_30d: int = 0


COLUMNS = tuple(field.name for field in fields(HostRow))


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingAlert:
    """An alert of a host that stands."""

    host: str
    id: str
    severity: Literal["warning", "critical"]
    message: str
    since: int

    @classmethod
    def of(cls, host: str, alert: payloads.Alert) -> "StandingAlert":
        since = int(alert.since.timestamp() * 1000)
        return cls(host=host, id=alert.id, severity=alert.severity, message=alert.message, since=since)
