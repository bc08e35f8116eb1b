"""The figures of the whole fleet, and the order of its hosts: the worst first. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from agent.fleet.live.row import HostRow, State

STATES: tuple[State, ...] = ("online", "stale", "offline", "unknown")
_STATE_ORDER = {"offline": 0, "stale": 1, "unknown": 2, "online": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetTotals:
    """Counts of all hosts. Bytes and images are sums without hosts that are offline: theirs may be long out of date."""

    hosts: int
    states: Counter[str]
    modes: Counter[str]
    paused: int
    versions: Counter[str]
    images: int
    disk_used_bytes: int
    disk_total_bytes: int
    reclaimable_bytes: int
    freed_24h_bytes: int
    warnings: int
    criticals: int


def total(rows: Iterable[HostRow]) -> FleetTotals:
    """The figures of the hosts with these rows."""
    every = list(rows)
    here = [row for row in every if row.state != "offline"]
    return FleetTotals(
        hosts=len(every),
        states=Counter(row.state for row in every),
        modes=Counter(row.mode for row in every if row.mode),
        paused=sum(row.paused is True for row in every),
        versions=Counter(row.version for row in every if row.version),
        images=sum(row.images or 0 for row in here),
        disk_used_bytes=sum(row.disk_used_bytes or 0 for row in here),
        disk_total_bytes=sum(row.disk_total_bytes or 0 for row in here),
        reclaimable_bytes=sum(row.reclaimable_bytes or 0 for row in here),
        freed_24h_bytes=sum(row.freed_24h_bytes for row in here),
        warnings=sum(row.warnings for row in every),
        criticals=sum(row.criticals for row in every),
    )


def used_share(row: HostRow) -> float | None:
    """The share of the disk that is in use; None if it is not known."""
    if row.disk_used_bytes is None or not row.disk_total_bytes:
        return None
    return row.disk_used_bytes / row.disk_total_bytes


def badness(row: HostRow) -> tuple[object, ...]:
    """Sorts the worst host first: critical alerts, then silence, then warnings, then the fullest disk."""
    return (-row.criticals, _STATE_ORDER[row.state], -row.warnings, -(used_share(row) or 0.0), row.host)
