"""Builds the events that report decisions, outcomes, sweeps, gaps, prunes and dropped events."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from agent.core.model import Image
from agent.core.policy.decision import Decision, Mode, Outcome, Plan
from agent.core.protocol import payloads
from agent.core.usage.continuity import BlindPeriod

Range = tuple[int, int]  # numbers of events, both ends included


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that has no number yet: `data` lacks epoch and seq."""

    kind: str
    at: datetime
    subject: str | None
    data: Mapping[str, Any]
    decision_id: str | None = None


def decision_id(decision: Decision, epoch: str) -> str:
    """The same ID for the same image, due time, mode and reason, so that a decision is written only once."""
    due = decision.due or decision.idle_since
    key = f"{epoch} {decision.image.id} {due.timestamp() if due else 0} {decision.mode} {decision.reason}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def origin(image: Image, *, pulled: bool) -> str | None:
    """The digest reference to pull the image again, or None. `pulled`: the agent saw its pull, so the digest counts."""
    return image.origin or (image.digests[0] if pulled and len(image.digests) == 1 else None)


def image_ref(decision: Decision, *, pulled: bool = False) -> payloads.ImageRef:
    image, verdict = decision.image, decision.verdict
    return payloads.ImageRef(
        id=image.id,
        references=list(image.standalone),
        size_bytes=image.size_bytes,
        torch_version=verdict.torch_version,
        accelerator=verdict.accelerator,
        origin=origin(image, pulled=pulled),
    )


def pull_again(also_removed: Iterable[str]) -> str:
    """The command that pulls other removed images again; "" if no digest is known."""
    digests = [name for name in also_removed if "@" in name]
    return " && ".join(f"docker pull {digest}" for digest in digests)


def decision(item: Decision, image: payloads.ImageRef, at: datetime, identity: str) -> NewEvent:
    """`torchkeeper.decision`, before the eviction."""
    data = payloads.DecisionData(
        decision_id=identity,
        action=item.action,
        reason=item.reason,
        mode=item.mode,
        held_by=item.held_by,
        explanation=item.explanation,
        image=image,
        last_used=item.last_used,
        last_used_by=item.last_used_by,
        idle_since=item.idle_since,
        idle_seconds=item.idle.total_seconds() if item.idle else 0.0,
        ttl_seconds=item.ttl.total_seconds() if item.ttl else 0.0,
        estimated_bytes=item.estimated_bytes,
        evidence=[evidence.text for evidence in item.verdict.evidence],
    )
    return _new(data, at, item.image.id, identity)


def outcome(
    identity: str,
    image: payloads.ImageRef,
    result: Outcome,
    at: datetime,
    *,
    measured_bytes: int | None = None,
    error: str | None = None,
    also_removed: Iterable[str] = (),
) -> NewEvent:
    """`torchkeeper.outcome`, after the eviction."""
    data = payloads.OutcomeData(
        decision_id=identity,
        outcome=result,
        image=image,
        measured_bytes=measured_bytes,
        error=error,
        also_removed=list(also_removed),
    )
    return _new(data, at, image.id, identity)


def sweep(first: Plan, plan: Plan, outcomes: Iterable[Outcome], at: datetime, measured_bytes: int | None) -> NewEvent:
    """`torchkeeper.sweep`: the results of one sweep. `first`: the plan before it; `plan`: the plan after it."""
    data = payloads.SweepData(
        mode=plan.mode,
        reasons=totals(plan),
        outcomes=dict(Counter(item.value for item in outcomes)),
        estimated_bytes=first.estimated_bytes,
        measured_bytes=measured_bytes,
    )
    return _new(data, at)


def gap(blind: BlindPeriod, at: datetime) -> NewEvent:
    """`torchkeeper.gap`: time in which uses may have gone unseen."""
    data = payloads.GapData(
        since=blind.since,
        until=blind.until,
        seconds=blind.length.total_seconds(),
        cause=blind.cause,
    )
    return _new(data, at)


def build_cache(
    state: payloads.BuildCacheState,
    at: datetime,
    *,
    unused_for: timedelta,
    records: int,
    estimated_bytes: int,
    measured_bytes: int | None,
    error: str | None,
) -> NewEvent:
    """`torchkeeper.build-cache`: before a prune of the engine's build cache, and after it."""
    data = payloads.BuildCacheData(
        mode=Mode.OBSERVE if state == "would-prune" else Mode.ENFORCE,
        state=state,
        unused_seconds=unused_for.total_seconds(),
        records=records,
        estimated_bytes=estimated_bytes,
        measured_bytes=measured_bytes,
        error=error,
    )
    return _new(data, at)


def dropped(ranges: Sequence[Range], reason: str, at: datetime) -> NewEvent:
    """`torchkeeper.dropped`: event numbers that will never be sent. `ranges`: merged, ascending, not empty."""
    data = payloads.DroppedData(
        first_seq=ranges[0][0],
        last_seq=ranges[-1][1],
        count=sum(last - first + 1 for first, last in ranges),
        reason=reason,
        ranges=list(ranges),
    )
    return _new(data, at)


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same numbers in as few ranges as possible, ascending."""
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def missing(above: int, last: int, known: Iterable[Range]) -> list[Range]:
    """The numbers greater than `above`, up to `last`, that no known range contains."""
    ends = [(0, above), *known, (last + 1, last + 1)]
    return [(left + 1, right - 1) for (_, left), (right, _) in pairwise(merged(ends))]


def totals(plan: Plan) -> dict[str, int]:
    """The number of images by reason."""
    return dict(sorted(Counter(item.reason.value for item in plan.decisions).items()))


def inventory_image(item: Decision, misleading: Iterable[str] = ()) -> payloads.InventoryImage:
    """An image as the inventory shows it. `misleading`: the warnings of `lint` about its names."""
    return payloads.InventoryImage(
        id=item.image.id,
        references=list(item.image.standalone),
        action=item.action,
        reason=item.reason,
        held_by=item.held_by,
        explanation=item.explanation,
        kind=item.verdict.kind,
        torch_version=item.verdict.torch_version,
        accelerator=item.verdict.accelerator,
        running=item.running,
        last_used=item.last_used,
        last_used_by=item.last_used_by,
        idle_since=item.idle_since,
        deadline=item.deadline,
        size_bytes=item.image.size_bytes,
        estimated_bytes=item.estimated_bytes,
        warnings=[*item.warnings, *misleading],
    )


def _new(
    data: payloads.EventData, at: datetime, subject: str | None = None, decision_id: str | None = None
) -> NewEvent:
    return NewEvent(data.type, at, subject, data.stored(), decision_id)
