"""Parents and children, as the classic builder records them.

A graph-driver engine refuses to delete an image that a child was built on. BuildKit records no parent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from agent.core import rules, units
from agent.core.model import Action, Class, Container, Decision, Holds, Image, Reason

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def settle(
    decisions: dict[str, Decision],
    holders: Mapping[str, tuple[Container, ...]],
    holds: Holds,
    now: datetime,
) -> dict[str, Decision]:
    """Keep parents whose children stay; take along untagged parents that would be left without children."""
    children = children_of(decision.image for decision in decisions.values())
    settled = dict(decisions)
    for parent_id in parents_last(children):  # a parent is asked after all below it
        decision = settled.get(parent_id)
        if decision is None:
            continue
        staying = [child for child in children[parent_id] if settled[child].action is Action.KEEP]
        if staying and decision.action is Action.EVICT:
            settled[parent_id] = _has_children(decision, len(staying))
        elif not staying and _may_follow(decision, holders, holds, now):
            settled[parent_id] = _dangling(decision)
    return settled


def children_of(images: Iterable[Image]) -> dict[str, list[str]]:
    """Parent ID -> its children's IDs, as the classic builder recorded them."""
    children: dict[str, list[str]] = {}
    for image in images:
        if image.details is not None and image.details.parent:
            children.setdefault(image.details.parent, []).append(image.id)
    return children


def parents_last(children: Mapping[str, list[str]]) -> list[str]:
    """Every image that has children, nearest to the leaves first. A cycle, which no engine makes, ends."""
    order: list[str] = []
    seen: set[str] = set()
    for root in children:
        stack = [(root, False)]
        while stack:
            image_id, below_done = stack.pop()
            if below_done:
                order.append(image_id)
            elif image_id in children and image_id not in seen:
                seen.add(image_id)
                stack.append((image_id, True))
                stack.extend((child, False) for child in children[image_id])
    return order


def _has_children(decision: Decision, count: int) -> Decision:
    noun = "image" if count == 1 else "images"
    why = f"{count} {noun} built on it stay, so the engine would refuse"
    return replace(decision, action=Action.KEEP, reason=Reason.HAS_CHILDREN, explanation=why, due=None)


def _may_follow(decision: Decision, holders: Mapping[str, tuple[Container, ...]], holds: Holds, now: datetime) -> bool:
    image = decision.image
    untagged = not image.references and not image.digests
    held = image.id in holders or rules.pin_for(image, holds, now) is not None
    known = image.details is not None and decision.verdict.kind is Class.PYTORCH
    return untagged and known and not held and decision.reason is not Reason.LABEL_KEEP


def _dangling(decision: Decision) -> Decision:
    freed = units.format_bytes(decision.estimated_bytes)
    why = f"an untagged step of a build whose last image goes; frees about {freed}"
    return replace(decision, action=Action.EVICT, reason=Reason.DANGLING, explanation=why, due=None)


def removal_order(decisions: Mapping[str, Decision]) -> list[str]:
    """The image IDs of all evictions, least recently used first, but every child before its parent."""
    evicting = {key: value for key, value in decisions.items() if value.action is Action.EVICT}
    oldest_first = sorted(evicting, key=lambda key: (evicting[key].idle_since or _BEGINNING, key))
    parents = parents_last(children_of(decision.image for decision in evicting.values()))
    leaves = [key for key in oldest_first if key not in set(parents)]
    return leaves + [key for key in parents if key in evicting]
