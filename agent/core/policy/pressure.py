"""Disk pressure: which images to evict beyond those that are due, until enough bytes are freed.

Every reason that keeps an image also keeps it under pressure, except that its TTL has not passed yet (`recent`).
"""

import heapq
from collections.abc import Collection, Mapping
from dataclasses import replace

from agent.core import units
from agent.core.images import layers
from agent.core.images.layers import LayerIndex
from agent.core.policy import parents
from agent.core.policy.decision import Action, Decision, Reason
from agent.core.policy.disk import DiskUsage
from agent.core.policy.parents import ParentGraph
from agent.core.policy.settings import Pressure


def is_under_pressure(settings: Pressure, space: DiskUsage | None, images_bytes: int, *, before: bool) -> bool:
    """Whether disk space is a reason to evict: above `high`, or above `low` if it was `before`; or over the budget."""
    if settings.budget is not None:
        return images_bytes > settings.budget
    if settings.high is None or settings.low is None or space is None:
        return False
    return space.used_fraction > (settings.low if before else settings.high)


def bytes_to_free(settings: Pressure, space: DiskUsage | None, images_bytes: int) -> int:
    """The bytes to free so that the pressure ends."""
    if settings.budget is not None:
        return max(0, images_bytes - settings.budget)
    return space.bytes_over(settings.low) if space is not None and settings.low is not None else 0


def describe(settings: Pressure, space: DiskUsage | None, images_bytes: int, *, at_least: bool = False) -> str:
    """The state of the disk, for people; "" if no pressure is configured. `at_least`: the images may be larger."""
    if settings.budget is not None:
        taken = f"{'at least ' if at_least else ''}{units.format_bytes(images_bytes)}"
        return f"images take {taken} (budget {units.format_bytes(settings.budget)})"
    if settings.high is None or settings.low is None:
        return ""
    if space is None:
        return "the agent cannot see the engine's disk"
    what = "disk" if space.bottleneck == "bytes" else "disk's inodes"
    near = min(abs(space.used_fraction - settings.high), abs(space.used_fraction - settings.low)) < 0.01
    full = f"{space.used_fraction:.1%}" if near else f"{space.used_fraction:.0%}"  # not "85% full (high 85%)"
    return f"{what} {full} full (high {settings.high:.0%}, low {settings.low:.0%})"


def select_victims(
    answers: Mapping[str, Decision], graph: ParentGraph, layer_index: LayerIndex, bytes_wanted: int
) -> frozenset[str]:
    """The images to evict in addition to those that `answers` evict, so that all together free `bytes_wanted`.

    An image that is kept only because of a gap counts as evicted here, so that no other image is evicted in its place.
    `layer_index` is changed.
    """
    answers = {key: _as_if_seen(decision) for key, decision in answers.items()}
    gone = {key for key, decision in graph.apply_to(answers).items() if decision.action is Action.EVICT}
    wanted = bytes_wanted - sum(layer_index.release(key) for key in gone)
    ready = [(parents.eviction_order(answers[key]), key) for key in answers if _may_evict(key, answers, graph, gone)]
    heapq.heapify(ready)
    chosen: set[str] = set()
    while ready and wanted > 0:
        _, key = heapq.heappop(ready)
        chosen.add(key)
        gone.add(key)
        going = [key, *graph.cascade(key, answers, gone)]
        gone.update(going)
        wanted -= sum(layer_index.release(one) for one in going)
        parent = answers[going[-1]].image.parent
        if _may_evict(parent, answers, graph, gone):
            heapq.heappush(ready, (parents.eviction_order(answers[parent]), parent))
    return frozenset(chosen)


def _as_if_seen(decision: Decision) -> Decision:
    return replace(decision, action=Action.EVICT) if decision.reason is Reason.GAP else decision


def _may_evict(key: str, answers: Mapping[str, Decision], graph: ParentGraph, gone: Collection[str]) -> bool:
    """Whether only its TTL keeps an image, and none of its children is left."""
    waits = key in answers and answers[key].reason is Reason.RECENT
    return waits and key not in gone and all(child in gone for child in graph.children.get(key, []))


def evict(decision: Decision, state: str) -> Decision:
    """The decision with disk pressure as its reason."""
    idle = units.format_duration(decision.idle) if decision.idle is not None else "?"
    freed = f"frees {layers.about([decision.image])} {units.format_bytes(decision.estimated_bytes)}"
    why = f"{state}; idle {idle}; {freed}"
    return replace(decision, action=Action.EVICT, reason=Reason.DISK_PRESSURE, explanation=why, due=None)
