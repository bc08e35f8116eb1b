"""Parents and children, as the classic builder records them.

A graph-driver engine refuses to delete an image that a child was built on. BuildKit records no parent.
"""

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from agent.core import units
from agent.core.images import layers
from agent.core.model import Image
from agent.core.policy.decision import Action, Decision, Reason

_BEGINNING = datetime.min.replace(tzinfo=UTC)


class ParentGraph:
    """Who was built on whom, among all images, and what may follow a child that goes."""

    def __init__(self, images: Iterable[Image]) -> None:
        self.children = children_of(images)
        self.parents_last = bottom_up(self.children)

    def apply_to(self, decisions: Mapping[str, Decision]) -> dict[str, Decision]:
        """Keep parents whose children stay; take along untagged parents that would be left without children."""
        settled = dict(decisions)
        for parent_id in self.parents_last:  # a parent is asked after all below it
            decision = settled.get(parent_id)
            if decision is None:
                continue
            staying = [child for child in self.children[parent_id] if settled[child].action is Action.KEEP]
            if staying and decision.action is Action.EVICT:
                settled[parent_id] = _has_children(decision, len(staying))
            elif not staying and decision.may_cascade:
                settled[parent_id] = _dangling(decision)
        return settled

    def cascade(self, image_id: str, decisions: Mapping[str, Decision], gone: Collection[str]) -> list[str]:
        """The parents that go once this image goes, nearest first. `gone`: all that go so far, it among them."""
        found: list[str] = []
        current = decisions.get(image_id)
        while current is not None:
            parent = current.image.parent
            current = decisions.get(parent)
            left = [child for child in self.children.get(parent, []) if child not in gone and child not in found]
            if current is None or left or parent in gone or parent in found:
                break
            if current.action is not Action.EVICT and not current.may_cascade:
                break
            found.append(parent)
        return found


def children_of(images: Iterable[Image]) -> dict[str, list[str]]:
    """Parent ID -> its children's IDs, as the classic builder recorded them."""
    children: dict[str, list[str]] = {}
    for image in images:
        if image.parent:
            children.setdefault(image.parent, []).append(image.id)
    return children


def bottom_up(children: Mapping[str, list[str]]) -> list[str]:
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


def _dangling(decision: Decision) -> Decision:
    freed = f"frees {layers.about([decision.image])} {units.format_bytes(decision.estimated_bytes)}"
    why = f"an untagged step of a build whose last image goes; {freed}"
    return replace(decision, action=Action.EVICT, reason=Reason.DANGLING, explanation=why, due=None, cascaded=True)


def order(decisions: Mapping[str, Decision]) -> list[str]:
    """The image IDs in the order in which they go: by `rank`, but every child before its parent.

    A cycle of parents, which no engine makes, comes last.
    """
    left = {key: len(below) for key, below in children_of(item.image for item in decisions.values()).items()}
    ready = [(eviction_order(item), key) for key, item in decisions.items() if not left.get(key)]
    heapq.heapify(ready)
    found: list[str] = []
    while ready:
        _, key = heapq.heappop(ready)
        found.append(key)
        parent = decisions[key].image.parent
        if parent in decisions:
            left[parent] -= 1
            if not left[parent]:
                heapq.heappush(ready, (eviction_order(decisions[parent]), parent))
    return found + sorted(decisions.keys() - set(found))


def eviction_order(decision: Decision) -> tuple[datetime, int]:
    """What goes first: the least recently used, then what frees the most."""
    return decision.idle_since_ignoring_gaps or _BEGINNING, -decision.estimated_bytes
