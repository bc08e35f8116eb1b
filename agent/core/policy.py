"""The plan: a decision for every image, from facts, settings and `now`.

`plan` and the real sweep both ask here, and only here: what one shows is what the other does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from agent.core import families, layers, limits
from agent.core.events import Names
from agent.core.judge import Context, Question
from agent.core.model import (
    Action,
    Class,
    Container,
    Decision,
    HeldBy,
    Plan,
    Policy,
    Reason,
    Snapshot,
    Usage,
    Verdict,
)

_UNKNOWN = Verdict(kind=Class.OTHER)  # for an image that could not be inspected: its reason is `unknown`


def plan(
    snapshot: Snapshot,
    verdicts: Mapping[str, Verdict],
    usages: Mapping[str, Usage],
    policy: Policy,
    now: datetime,
    context: Context,
) -> Plan:
    """Decide every image of the snapshot. An image without a usage is taken as first seen now."""
    space = layers.Ledger(snapshot.images)
    holders = _holders(snapshot)
    decisions = {
        image.id: Question(
            image=image,
            verdict=verdicts.get(image.id, _UNKNOWN),
            usage=usages.get(image.id) or Usage(image_id=image.id, first_seen=now),
            holders=holders.get(image.id, ()),
            policy=policy,
            now=now,
            context=context,
            estimated_bytes=space.would_free(image.id),
        ).answer()
        for image in snapshot.images
    }
    settled = families.settle(decisions, holders, context.holds, now)
    return _assemble(settled, space, context, policy, now)


_ENDS_A_FOLLOWER = (
    Reason.NOT_PYTORCH,
    Reason.UNKNOWN,
    Reason.IN_USE,
    Reason.EXCLUDED,
    Reason.PINNED,
    Reason.LABEL_KEEP,
    Reason.HAS_CHILDREN,
)


def still_goes(decision: Decision, fresh: Plan) -> bool:
    """The recheck: whether an eviction stands in the light of a plan made just before the act.

    A `dangling` parent's child is gone by then, so it is judged by what it is now, not by the child.
    """
    now = next((item for item in fresh.decisions if item.image.id == decision.image.id), None)
    if now is None or now.image.references != decision.image.references:
        return False
    if decision.reason is not Reason.DANGLING or now.action is Action.EVICT:
        return any(item.image.id == decision.image.id for item in fresh.evictions)
    parents = families.children_of(item.image for item in fresh.decisions)
    return now.reason not in _ENDS_A_FOLLOWER and decision.image.id not in parents and fresh.hold is None


def _holders(snapshot: Snapshot) -> dict[str, tuple[Container, ...]]:
    """Image ID -> the containers that hold it, in any state, as their image or as a mount."""
    names = Names()
    names.replace(snapshot.images)
    held: dict[str, tuple[Container, ...]] = {}
    for container in snapshot.containers:
        mounted = {names.resolve(name) or name for name in container.image_mounts}
        for image_id in {container.image_id, *mounted}:
            held[image_id] = (*held.get(image_id, ()), container)
    return held


def _assemble(
    decisions: Mapping[str, Decision],
    space: layers.Ledger,
    context: Context,
    policy: Policy,
    now: datetime,
) -> Plan:
    hold = _hold(context, policy, now)
    held = {
        key: replace(value, held_by=hold or _backoff(key, context, now)) if value.action is Action.EVICT else value
        for key, value in decisions.items()
    }
    evicting = [held[image_id] for image_id in families.removal_order(held)]
    waiting = limits.beyond(_going(evicting), policy.limits, context.freed, now)
    held |= {key: replace(held[key], held_by=HeldBy.RATE_LIMIT) for key in waiting}
    evicting = [held[decision.image.id] for decision in evicting]
    return Plan(
        at=now,
        decisions=tuple(held.values()),
        evictions=_going(evicting),
        hold=hold,
        next_due=_next_due(held.values(), policy, context, now),
        estimated_bytes=sum(space.release(decision.image.id) for decision in evicting),
    )


def _hold(context: Context, policy: Policy, now: datetime) -> HeldBy | None:
    """What holds every eviction of this plan. The sight comes last: it is the one that passes by itself."""
    holds = context.holds
    paused = holds.paused and (holds.paused_until is None or now < holds.paused_until)
    if policy.observe:
        return HeldBy.OBSERVE
    if paused or not holds.readable:
        return HeldBy.PAUSED
    if not context.clock_trusted:
        return HeldBy.CLOCK
    return None if context.proven else HeldBy.UNPROVEN


def _backoff(image_id: str, context: Context, now: datetime) -> HeldBy | None:
    not_before = context.backoff.get(image_id)
    return HeldBy.BACKOFF if not_before is not None and now < not_before else None


def _going(evicting: list[Decision]) -> tuple[Decision, ...]:
    """Those that go now, in order. A parent waits for a child that is held."""
    waiting: set[str] = set()
    going: list[Decision] = []
    for decision in evicting:
        if decision.held_by is None and decision.image.id not in waiting:
            going.append(decision)
        elif decision.image.details is not None:
            waiting.add(decision.image.details.parent)
    return tuple(going)


def _next_due(decisions: Iterable[Decision], policy: Policy, context: Context, now: datetime) -> datetime | None:
    """When this plan may change by the mere passing of time; None: never."""
    times = [decision.due for decision in decisions]
    times += context.backoff.values()
    times += [pin.until for pin in context.holds.pins]
    times += [context.holds.paused_until, limits.next_room(policy.limits, context.freed, now)]
    return min((at for at in times if at is not None and at > now), default=None)
