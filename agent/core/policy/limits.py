"""Limits how much is evicted at once, because long deletions slow a host down."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.core.policy.decision import Decision
from agent.core.policy.settings import Limits

SWEEP = timedelta(minutes=1)  # evictions within this time count as one sweep, even if the sweeper woke several times
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PastEviction:
    """An eviction in the past."""

    at: datetime
    bytes: int  # the estimate


def over_limit(
    going: Iterable[Decision], limits: Limits, freed: Iterable[PastEviction], now: datetime
) -> frozenset[str]:
    """The IDs of the images, among those to be evicted now, that have to wait because of the limits.

    An image larger than the hourly budget is evicted if nothing else was in the past hour; otherwise it never could be.
    """
    freed = tuple(freed)
    count = sum(now - item.at < SWEEP for item in freed)
    spent = sum(item.bytes for item in freed if now - item.at < HOUR)
    waiting: set[str] = set()
    for decision in going:
        too_many = limits.evictions_per_sweep is not None and count >= limits.evictions_per_sweep
        too_much = limits.bytes_per_hour is not None and 0 < spent > limits.bytes_per_hour - decision.estimated_bytes
        if too_many or too_much or waiting:  # keep the order: smaller images do not overtake
            waiting.add(decision.image.id)
        count, spent = count + 1, spent + decision.estimated_bytes
    return frozenset(waiting)


def next_slot(limits: Limits, freed: Iterable[PastEviction], now: datetime) -> datetime | None:
    """When the limits may allow more, because a past eviction stops counting; None if no past eviction counts."""
    spans = [SWEEP] if limits.evictions_per_sweep is not None else []
    spans += [HOUR] if limits.bytes_per_hour is not None else []
    ends = [item.at + span for item in freed for span in spans]
    return min((end for end in ends if end > now), default=None)
