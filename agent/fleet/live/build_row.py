"""Builds the row of a host from its retained topics. Pure: each function returns a new value.

The rows are the same in the monitor and in the terminal. Neither keeps decoded inventories: one of 155 images takes
262 kB. Times are milliseconds since 1970.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from agent.core.policy.decision import Action, Outcome, Reason
from agent.core.protocol import payloads
from agent.fleet.live import bounds
from agent.fleet.live.row import HostRow, State

STALE_AFTER = timedelta(minutes=3)  # three status messages are missing
DAY = 86_400_000  # milliseconds


PENDING = frozenset(reason.value for reason in Reason if reason.pending)


class ImageOutline(payloads.Payload):
    action: str
    reason: str
    held_by: str | None = None
    deadline: payloads.Time | None


class DecisionOutline(payloads.Payload):
    at: payloads.Time
    outcome: str | None = None
    measured_bytes: int | None = None
    estimated_bytes: int


class InventoryOutline(payloads.Payload):
    """The fields of an inventory that its summary needs: decoding them alone takes half the time."""

    at: payloads.Time
    disk: payloads.Disk
    images: list[ImageOutline]
    images_left_out: int = 0
    decisions: list[DecisionOutline]


@dataclass(frozen=True, slots=True, kw_only=True)
class InventorySummary:
    """The part of an inventory that a row shows. Without values: of a host that has no inventory."""

    images: int | None = None  # with those that were left out
    images_left_out: int = 0
    disk_used_bytes: int | None = None
    disk_total_bytes: int | None = None
    reclaimable_bytes: int | None = None
    next_eviction: int | None = None
    last_decision_at: int | None = None
    last_outcome: str | None = None
    freed: tuple[tuple[int, int], ...] = ()  # when, and how many bytes; of the last decisions only


def milliseconds(at: datetime) -> int:
    """A time as milliseconds since 1970."""
    return int(at.timestamp() * 1000)


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
    if info is None:
        return replace(row, mode=None, paused=None, version=None, high=None)
    return replace(
        row, mode=info.mode.value, paused=info.is_paused(now), version=bounds.word(info.version), high=high_of(info)
    )


def high_of(info: payloads.Info) -> float | None:
    """`pressure.high` of the policy in force, as a share; None if it is not set."""
    return high_in(info.policy)


def high_in(policy: Mapping[str, Any]) -> float | None:
    """`pressure.high` of a policy, which a host may fill with anything."""
    pressure = policy.get("pressure")
    high = pressure.get("high") if isinstance(pressure, dict) else None
    return high if isinstance(high, float) and 0 < high < 1 else None


def summary_of(inventory: payloads.Inventory | InventoryOutline) -> InventorySummary:
    """The part of an inventory that a row shows."""
    last = max(inventory.decisions, key=lambda decision: decision.at, default=None)
    left_out = bounds.count(inventory.images_left_out)
    return InventorySummary(
        images=len(inventory.images) + left_out,
        images_left_out=left_out,
        disk_used_bytes=bounds.size_or_none(inventory.disk.used_bytes),
        disk_total_bytes=bounds.size_or_none(inventory.disk.total_bytes),
        reclaimable_bytes=bounds.size(inventory.disk.reclaimable_bytes),
        next_eviction=next_eviction(inventory.images),
        last_decision_at=milliseconds(last.at) if last else None,
        last_outcome=bounds.word(last.outcome) if last and last.outcome else None,
        freed=freed(inventory.decisions),
    )


def next_eviction(images: Iterable[payloads.InventoryImage | ImageOutline]) -> int | None:
    """The earliest deadline of an image that is evicted then, unless it is used; None if there is none."""
    deadlines = [image.deadline for image in images if image.deadline is not None and _goes_at_deadline(image)]
    return milliseconds(min(deadlines)) if deadlines else None


def next_eviction_in(mode: str | None, deadline: int | None) -> int | None:
    """When the next image of a host goes, if this is its deadline. In observe mode none ever goes."""
    return None if mode == "observe" else deadline


def _goes_at_deadline(image: payloads.InventoryImage | ImageOutline) -> bool:
    return image.held_by is None if image.action == Action.EVICT else image.reason in PENDING


def freed(decisions: Iterable[payloads.LastDecision | DecisionOutline]) -> tuple[tuple[int, int], ...]:
    """When removals freed how many bytes: the measured ones, else the estimate."""
    return tuple(
        (milliseconds(item.at), bounds.freed(_first(item.measured_bytes, item.estimated_bytes)))
        for item in decisions
        if item.outcome == Outcome.REMOVED
    )


def _first(measured: int | None, estimated: int) -> int:
    return estimated if measured is None else measured


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
