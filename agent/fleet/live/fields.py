"""The fields of a host's row that each of its messages shows."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

from agent.core.policy.decision import Action, Reason
from agent.core.protocol import payloads


class RowFields(TypedDict, total=False):
    """Some fields of a HostRow."""

    mode: str | None
    version: str | None
    images: int | None
    images_left_out: int
    disk_used_bytes: int | None
    disk_total_bytes: int | None
    high: float | None
    reclaimable_bytes: int | None


def ms(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(at.timestamp() * 1000)


def of_info(info: payloads.Info | None) -> RowFields:
    """The agent and its policy; all unknown if the topic was cleared."""
    if info is None:
        return RowFields(mode=None, version=None, high=None)
    return RowFields(mode=info.mode.value, version=info.version, high=_high(info.policy))


def of_inventory(inventory: payloads.Inventory | None) -> RowFields:
    """Images and disk; all unknown if the topic was cleared."""
    if inventory is None:
        return RowFields(
            images=None, images_left_out=0, disk_used_bytes=None, disk_total_bytes=None, reclaimable_bytes=None
        )
    return RowFields(
        images=len(inventory.images) + inventory.images_left_out,
        images_left_out=inventory.images_left_out,
        disk_used_bytes=inventory.disk.used_bytes,
        disk_total_bytes=inventory.disk.total_bytes,
        reclaimable_bytes=inventory.disk.reclaimable_bytes,
    )


def next_eviction(inventory: payloads.Inventory) -> int | None:
    """When the first of its images goes that nothing keeps or holds, if none is used until then."""
    return min((ms(at) for at in _ends(inventory)), default=None)


def last_decision(inventory: payloads.Inventory) -> payloads.LastDecision | None:
    return max(inventory.decisions, key=lambda decision: decision.at, default=None)


def _ends(inventory: payloads.Inventory) -> Iterable[datetime]:
    for image in inventory.images:
        if image.action == Action.EVICT:
            if image.held_by is None:  # it goes now; under disk pressure before its deadline
                yield min(image.deadline or inventory.at, inventory.at)
        elif image.deadline is not None and _is_pending(image.reason):
            yield image.deadline


def _is_pending(text: str) -> bool:
    reason = Reason.of(text)
    return reason is not None and reason.pending


def _high(policy: dict[str, object]) -> float | None:
    """`pressure.high` in a policy. Whoever may publish as the host can publish anything there."""
    pressure = policy.get("pressure")
    high = pressure.get("high") if isinstance(pressure, dict) else None
    return high if isinstance(high, float) and 0 < high < 1 else None
