"""Sums over a plan: images and bytes by reason, the next images to be due, and images that stopped containers keep."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agent.core.images.layers import LayerIndex
from agent.core.model import Container
from agent.core.policy import parents
from agent.core.policy.decision import Action, Decision, Plan, Reason


@dataclass(frozen=True, slots=True)
class ReasonTotal:
    """The number of images with one reason, and the bytes of the layers that only these images have."""

    images: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StoppedOnly:
    """A PyTorch image that only stopped containers keep."""

    containers: tuple[Container, ...]  # the longest stopped first
    decision: Decision

    @property
    def since(self) -> datetime | None:
        """When the first of them stopped; None if unknown."""
        return self.containers[0].last_active

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(container.name or container.id[:12] for container in self.containers)


def by_reason(plan: Plan) -> dict[Reason, ReasonTotal]:
    """The totals of all reasons that occur in the plan, in the order of `Reason`.

    A layer that kept images of two reasons share counts for neither. A layer that several evictions share counts for
    the last of them, so that the bytes of evictions add up to those of the plan.
    """
    layer_index = LayerIndex(item.image for item in plan.decisions)
    counts = Counter(item.reason for item in plan.decisions)
    freed = _freed(layer_index.copy(), plan)
    return {
        reason: ReasonTotal(
            counts[reason], freed[reason] if reason in freed else layer_index.reclaimable_together(_of(plan, reason))
        )
        for reason in Reason
        if counts[reason]
    }


def _freed(layer_index: LayerIndex, plan: Plan) -> Counter[Reason]:
    evicted = {item.image.id: item for item in plan.decisions if item.action is Action.EVICT}
    freed: Counter[Reason] = Counter({item.reason: 0 for item in evicted.values()})
    for key in parents.order(evicted):
        freed[evicted[key].reason] += layer_index.release(key)
    return freed


def _of(plan: Plan, reason: Reason) -> Iterable[str]:
    return (item.image.id for item in plan.decisions if item.reason is reason)


def next_to_go(plan: Plan, most: int) -> list[Decision]:
    """The kept images that will be due next, soonest first."""
    waiting = [item for item in plan.decisions if item.action is Action.KEEP and item.due is not None]
    return sorted(waiting, key=lambda item: (item.due or plan.at, item.image.id))[:most]


def stopped(plan: Plan, containers: Iterable[Container]) -> list[StoppedOnly]:
    """The images that only stopped containers keep, with those containers; the longest stopped first.

    An image that a running container uses too is left out: removing its stopped containers would free nothing.
    """
    by_image: dict[str, list[Container]] = {}
    for container in containers:
        by_image.setdefault(container.image_id, []).append(container)
    found = [
        StoppedOnly(tuple(sorted(of_image, key=lambda container: _since(container, plan.at))), item)
        for item in plan.decisions
        if item.reason is Reason.IN_USE and (of_image := by_image.get(item.image.id))
        if not any(container.running for container in of_image)
    ]
    return sorted(found, key=lambda item: _since(item.containers[0], plan.at))


def _since(container: Container, now: datetime) -> tuple[datetime, str]:
    return container.last_active or now, container.id
