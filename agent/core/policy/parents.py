"""Parents and children of images, as recorded by the classic builder. BuildKit does not record parents.

With a graph driver, the engine refuses to delete an image that has children.
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
    """Which image was built on which, and which parents are evicted together with their last child."""

    def __init__(self, images: Iterable[Image]) -> None:
        self.children = children_of(images)
        self.bottom_up_order = bottom_up(self.children)

    def apply_to(self, decisions: Mapping[str, Decision]) -> dict[str, Decision]:
        """Keep parents with a kept child; evict untagged parents whose children are all evicted."""
        result = dict(decisions)
        for parent_id in self.bottom_up_order:  # a parent after all images built on it
            decision = result.get(parent_id)
            if decision is None:
                continue
            staying = [child for child in self.children[parent_id] if result[child].action is Action.KEEP]
            if staying and decision.action is Action.EVICT:
                result[parent_id] = _has_children(decision, len(staying))
            elif not staying and decision.may_cascade:
                result[parent_id] = _dangling(decision)
        return result

    def cascade(self, image_id: str, decisions: Mapping[str, Decision], gone: Collection[str]) -> list[str]:
        """The parents that are evicted once this image is, nearest first. `gone`: all evicted so far, including it."""
        cascaded: list[str] = []
        current = decisions.get(image_id)
        while current is not None:
            parent = current.image.parent
            current = decisions.get(parent)
            left = [child for child in self.children.get(parent, []) if child not in gone and child not in cascaded]
            if current is None or left or parent in gone or parent in cascaded:
                break
            if current.action is not Action.EVICT and not current.may_cascade:
                break
            cascaded.append(parent)
        return cascaded


def children_of(images: Iterable[Image]) -> dict[str, list[str]]:
    """Parent ID -> the IDs of its children."""
    children: dict[str, list[str]] = {}
    for image in images:
        if image.parent:
            children.setdefault(image.parent, []).append(image.id)
    return children


def bottom_up(children: Mapping[str, list[str]]) -> list[str]:
    """Every image that has children, after all images built on it. Ends even for a cycle, which no engine creates."""
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
    why = f"{count} {noun} built on it {'stays' if count == 1 else 'stay'}, so the engine would refuse to remove it"
    return replace(decision, action=Action.KEEP, reason=Reason.HAS_CHILDREN, explanation=why, due=None)


def _dangling(decision: Decision) -> Decision:
    freed = f"frees {layers.about([decision.image])} {units.format_bytes(decision.estimated_bytes)}"
    why = f"an untagged step of a build whose last image is evicted; {freed}"
    return replace(decision, action=Action.EVICT, reason=Reason.DANGLING, explanation=why, due=None, cascaded=True)


def order(decisions: Mapping[str, Decision]) -> list[str]:
    """The image IDs in the order of removal: by `eviction_order`, but each child before its parent.

    The images of a cycle, which no engine creates, come last.
    """
    left = {key: len(below) for key, below in children_of(item.image for item in decisions.values()).items()}
    ready = [(eviction_order(item), key) for key, item in decisions.items() if not left.get(key)]
    heapq.heapify(ready)
    ordered: list[str] = []
    while ready:
        _, key = heapq.heappop(ready)
        ordered.append(key)
        parent = decisions[key].image.parent
        if parent in decisions:
            left[parent] -= 1
            if not left[parent]:
                heapq.heappush(ready, (eviction_order(decisions[parent]), parent))
    return ordered + sorted(decisions.keys() - set(ordered))


def eviction_order(decision: Decision) -> tuple[datetime, int]:
    """Sort key of evictions: the image that is idle for the longest time first, then the one that frees the most."""
    return decision.idle_since_ignoring_gaps or _BEGINNING, -decision.estimated_bytes
