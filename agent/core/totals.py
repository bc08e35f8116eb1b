"""Sums over a plan: images and bytes by reason, and what goes next."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agent.core.layers import Ledger
from agent.core.model import Action, Container, Decision, Plan, Reason


@dataclass(frozen=True, slots=True)
class Share:
    """What the images of one reason are together. `bytes`: of the layers that no image of another reason has."""

    images: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """A container that runs no more and alone with its like keeps a PyTorch image that would free space."""

    container: Container
    decision: Decision


def by_reason(plan: Plan) -> dict[Reason, Share]:
    """In the order of `Reason`, those that any image has. A layer that images of two reasons share counts for none."""
    ledger = Ledger(item.image for item in plan.decisions)
    counts = Counter(item.reason for item in plan.decisions)
    return {reason: Share(counts[reason], _together(ledger, plan, reason)) for reason in Reason if counts[reason]}


def _together(ledger: Ledger, plan: Plan, reason: Reason) -> int:
    alone = ledger.copy()
    return sum(alone.release(item.image.id) for item in plan.decisions if item.reason is reason)


def next_to_go(plan: Plan, most: int) -> list[Decision]:
    """The images whose time comes next, soonest first."""
    waiting = [item for item in plan.decisions if item.action is Action.KEEP and item.due is not None]
    return sorted(waiting, key=lambda item: (item.due or plan.at, item.image.id))[:most]


def stopped(plan: Plan, containers: Iterable[Container]) -> list[Stopped]:
    """The stopped containers that keep images, the longest stopped first.

    Where a running container uses the image as well, removing the stopped one would free nothing.
    """
    containers = tuple(containers)
    running = {container.image_id for container in containers if container.running}
    kept = {item.image.id: item for item in plan.decisions if item.reason is Reason.IN_USE}
    found = [
        Stopped(container, kept[container.image_id])
        for container in containers
        if not container.running and container.image_id in kept and container.image_id not in running
    ]
    return sorted(found, key=lambda item: (_since(item.container, plan.at), item.container.id))


def _since(container: Container, now: datetime) -> datetime:
    return container.last_active or now
