"""Sums over all hosts. Those of figures leave out hosts that are offline: their figures are from before."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from agent.fleet.live.row import HostRow, StandingAlert, State

DEFAULT_HIGH = 0.85  # of the disk, where a host's own policy has no limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The fleet in figures. Sizes are bytes."""

    hosts: dict[State, int]
    observing: int
    paused: int
    images: int
    disk_used_bytes: int
    disk_total_bytes: int
    reclaimable_bytes: int
    reclaimable_hosts: int  # with any of it
    over_high: int  # hosts whose disk is above the limit of their policy, or above DEFAULT_HIGH
    own_high: int  # those of them whose policy has a limit
    alerts: int
    critical_alerts: int
    critical_by_id: dict[str, int]


def is_over_high(row: HostRow) -> bool:
    """Whether its disk is fuller than its policy, or DEFAULT_HIGH, allows."""
    if not row.disk_total_bytes or row.disk_used_bytes is None:
        return False
    return row.disk_used_bytes / row.disk_total_bytes > (row.high or DEFAULT_HIGH)


def of(rows: Iterable[HostRow], alerts: Iterable[StandingAlert]) -> Totals:
    every = list(rows)
    present = [row for row in every if row.state != "offline"]
    over = [row for row in present if is_over_high(row)]
    standing = list(alerts)
    critical = Counter(alert.id for alert in standing if alert.severity == "critical")
    states: dict[State, int] = {"online": 0, "stale": 0, "offline": 0, "unknown": 0}
    for row in every:
        states[row.state] += 1
    return Totals(
        hosts=states,
        observing=sum(row.mode == "observe" for row in present),
        paused=sum(row.paused is True for row in present),
        images=sum(row.images or 0 for row in present),
        disk_used_bytes=sum(row.disk_used_bytes or 0 for row in present),
        disk_total_bytes=sum(row.disk_total_bytes or 0 for row in present),
        reclaimable_bytes=sum(row.reclaimable_bytes or 0 for row in present),
        reclaimable_hosts=sum(bool(row.reclaimable_bytes) for row in present),
        over_high=len(over),
        own_high=sum(row.high is not None for row in over),
        alerts=len(standing),
        critical_alerts=critical.total(),
        critical_by_id=dict(critical),
    )
