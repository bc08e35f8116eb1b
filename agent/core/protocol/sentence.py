"""One sentence for people: why an image of an inventory is kept or evicted, as of now.

An inventory has no text that counts time for images that are kept: with one, every image would change every time.
"""

from datetime import datetime

from agent.core import units
from agent.core.policy.decision import Reason
from agent.core.protocol import payloads

_LASTING = {
    Reason.NOT_PYTORCH: "nothing shows that it is a PyTorch image",
    Reason.UNKNOWN: "the engine could not say what it is; kept until it can",
    Reason.AMBIGUOUS: "may be PyTorch, but not surely",
    Reason.EXCLUDED: "kept: images.exclude matches it",
    Reason.PINNED: "kept: it is pinned",
    Reason.LABEL_KEEP: "kept: its labels say so",
    Reason.PROTECTED_TAG: "kept: policy.protect matches it",
    Reason.RULE_KEEP: "kept: a rule of the policy says so",
    Reason.KEEP_NEWEST: "kept: it is among the newest of its repository",
    Reason.LOCAL_ONLY: "may exist nowhere else: nothing shows a registry that it came from",
    Reason.MIN_AGE: "arrived or changed its name lately; kept until policy.min_age ends",
    Reason.HAS_CHILDREN: "images built on it stay, so the engine would refuse",
}


def why(image: payloads.InventoryImage, now: datetime) -> str:
    """The image's own explanation, or if it has none, a sentence made from its reason and times."""
    if image.explanation:
        return image.explanation
    if image.reason == Reason.IN_USE:
        by = f" ({image.last_used_by})" if image.last_used_by else ""
        return f"a container uses it{by}" if image.running else f"a container that does not run has it{by}"
    if image.reason == Reason.GAP:
        return f"its use may have gone unseen in a gap of the watch{_ends(image, now)}"
    if image.reason == Reason.RECENT:
        return f"{_idle(image, now)}{_ends(image, now)}"
    return next((text for reason, text in _LASTING.items() if reason == image.reason), image.reason)


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
