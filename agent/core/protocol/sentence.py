"""Explains in one sentence why an image of an inventory is kept or evicted, as of now.

The inventory has no explanations of kept images: they contain durations, so every image would change in each inventory.
"""

from datetime import datetime

from agent.core import units
from agent.core.policy.decision import Reason
from agent.core.protocol import payloads


def why(image: payloads.InventoryImage, now: datetime) -> str:
    """The image's own explanation, or if it has none, a sentence made from its reason and times."""
    if image.explanation:
        return image.explanation
    reason = Reason.of(image.reason)
    if reason is Reason.IN_USE:
        by = f" ({image.last_used_by})" if image.last_used_by else ""
        return f"a container uses it{by}" if image.running else f"a container that does not run has it{by}"
    if reason is Reason.GAP:
        return f"{reason.words}{_ends(image, now)}"
    if reason is Reason.RECENT:
        return f"{_idle(image, now)}{_ends(image, now)}"
    return (reason.words if reason is not None else "") or image.reason


def _idle(image: payloads.InventoryImage, now: datetime) -> str:
    if image.running:
        return "used now"
    if image.idle_since is None:
        return "idle"
    return f"idle {units.format_duration(max(now, image.idle_since) - image.idle_since)}"


def _ends(image: payloads.InventoryImage, now: datetime) -> str:
    """The time left until the deadline, as `; due in 11 d`, or `; due now`. "" without a deadline."""
    if image.deadline is None:
        return ""
    left = image.deadline - now
    return f"; due in {units.format_duration(left)}" if left.total_seconds() > 0 else "; due now"
