"""Sums over a plan: images and bytes by reason, and what goes next."""

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
    """What the images of one reason are together. `bytes`: of the layers that no image of another reason has."""

    images: int
    bytes: int


@dataclass(frozen=True, slots=True)
class StoppedOnly:
    """A PyTorch image that only stopped containers keep."""

    containers: tuple[Container, ...]  # the longest stopped first
    decision: Decision

    @property
    def since(self) -> datetime | None:
        """When the first of them stopped; None: not known."""
        return self.containers[0].last_active

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(container.name or container.id[:12] for container in self.containers)


def by_reason(plan: Plan) -> dict[Reason, ReasonTotal]:
    """In the order of `Reason`, those that any image has.

    A layer that kept images of two reasons share counts for none. One that several evictions share counts for the
    last to go, so that their bytes add up to those of the plan.
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
    going = {item.image.id: item for item in plan.decisions if item.action is Action.EVICT}
    found: Counter[Reason] = Counter({item.reason: 0 for item in going.values()})
    for key in parents.order(going):
        found[going[key].reason] += layer_index.release(key)
    return found


def _of(plan: Plan, reason: Reason) -> Iterable[str]:
    return (item.image.id for item in plan.decisions if item.reason is reason)


def next_to_go(plan: Plan, most: int) -> list[Decision]:
    """The images whose time comes next, soonest first."""
    waiting = [item for item in plan.decisions if item.action is Action.KEEP and item.due is not None]
    return sorted(waiting, key=lambda item: (item.due or plan.at, item.image.id))[:most]


def stopped(plan: Plan, containers: Iterable[Container]) -> list[StoppedOnly]:
    """The images that only stopped containers keep, with those containers; the longest stopped first.

    Where a running container uses the image as well, removing the stopped ones would free nothing.
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
