"""Sums over a plan: images and bytes by reason, and what goes next."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agent.core.images.layers import LayerIndex
from agent.core.model import Action, Container, Decision, Plan, Reason
from agent.core.policy import parents


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
    ledger = LayerIndex(item.image for item in plan.decisions)
    counts = Counter(item.reason for item in plan.decisions)
    freed = _freed(ledger.copy(), plan)
    return {
        reason: ReasonTotal(
            counts[reason], freed[reason] if reason in freed else ledger.reclaimable_together(_of(plan, reason))
        )
        for reason in Reason
        if counts[reason]
    }


def _freed(ledger: LayerIndex, plan: Plan) -> Counter[Reason]:
    going = {item.image.id: item for item in plan.decisions if item.action is Action.EVICT}
    found: Counter[Reason] = Counter({item.reason: 0 for item in going.values()})
    for key in parents.order(going):
        found[going[key].reason] += ledger.release(key)
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
    holders: dict[str, list[Container]] = {}
    for container in containers:
        holders.setdefault(container.image_id, []).append(container)
    found = [
        StoppedOnly(tuple(sorted(held, key=lambda container: _since(container, plan.at))), item)
        for item in plan.decisions
        if item.reason is Reason.IN_USE and (held := holders.get(item.image.id))
        if not any(container.running for container in held)
    ]
    return sorted(found, key=lambda item: _since(item.containers[0], plan.at))


def _since(container: Container, now: datetime) -> tuple[datetime, str]:
    return container.last_active or now, container.id
