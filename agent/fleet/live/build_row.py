"""Builds the row of a host from its retained topics. Pure: each function returns a new value.

The rows are the same in the monitor and in the terminal. Neither keeps decoded inventories: one of 155 images takes
262 kB. Times are milliseconds since 1970.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from agent.core.protocol import payloads
from agent.fleet.live import bounds
from agent.fleet.live.row import HostRow, State
from agent.fleet.live.summary import InventorySummary

STALE_AFTER = timedelta(minutes=3)  # three status messages are missing
DAY = 86_400_000  # milliseconds


def state_of(status: Literal["online", "offline"] | None, last_seen: int | None, now: int) -> State:
    """The state of a host. `status`: what the host or its will said last; None if neither said anything."""
    if status is None:
        return "unknown"
    if status == "offline":
        return "offline"
    is_silent = last_seen is None or timedelta(milliseconds=now - last_seen) > STALE_AFTER
    return "stale" if is_silent else "online"


def with_info(row: HostRow, info: payloads.Info | None, now: datetime) -> HostRow:
    """The row with what the host's info says. A pause that has ended counts as none."""
    return replace(row, **said_by(info, now))


def said_by(info: payloads.Info | None, now: datetime) -> dict[str, Any]:
    """The fields of a row that an info has."""
    if info is None:
        return {"mode": None, "paused": None, "version": None, "high": None}
    paused, version = info.is_paused(now), bounds.word(info.version)
    return {"mode": info.mode.value, "paused": paused, "version": version, "high": high_of(info)}


def high_of(info: payloads.Info) -> float | None:
    """`pressure.high` of the policy in force, as a share; None if it is not set."""
    return high_in(info.policy)


def high_in(policy: Mapping[str, Any]) -> float | None:
    """`pressure.high` of a policy, which a host may fill with anything."""
    pressure = policy.get("pressure")
    high = pressure.get("high") if isinstance(pressure, dict) else None
    return high if isinstance(high, float) and 0 < high < 1 else None


def next_eviction_in(mode: str | None, deadline: int | None) -> int | None:
    """When the next image of a host goes, if this is its deadline. In observe mode none ever goes."""
    return None if mode == "observe" else deadline


def with_inventory(row: HostRow, summary: InventorySummary, now: int) -> HostRow:
    """The row with the summary of the host's inventory."""
    return replace(
        row,
        images=summary.images,
        images_left_out=summary.images_left_out,
        disk_used_bytes=summary.disk_used_bytes,
        disk_total_bytes=summary.disk_total_bytes,
        reclaimable_bytes=summary.reclaimable_bytes,
        next_eviction=next_eviction_in(row.mode, summary.next_eviction),
        last_decision_at=summary.last_decision_at,
        last_outcome=summary.last_outcome,
        freed_24h_bytes=sum(count for at, count in summary.freed if at > now - DAY),
    )


def with_alerts(row: HostRow, alerts: Iterable[payloads.Alert]) -> HostRow:
    """The row with the numbers of its standing alerts."""
    severities = [alert.severity for alert in alerts]
    return replace(row, warnings=severities.count("warning"), criticals=severities.count("critical"))
