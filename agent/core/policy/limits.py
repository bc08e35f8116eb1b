"""How much may go at once: a host that deletes for minutes on end is no good host."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.core.policy.decision import Decision
from agent.core.policy.settings import Limits

SWEEP = timedelta(minutes=1)  # evictions closer together than this count as one sweep, however often it wakes
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PastEviction:
    """An eviction that was done."""

    at: datetime
    bytes: int  # as estimated


def over_limit(
    going: Iterable[Decision], limits: Limits, freed: Iterable[PastEviction], now: datetime
) -> frozenset[str]:
    """The image IDs, of those that would go now, that have to wait for the limits.

    An image larger than the hourly budget goes when nothing else has gone in the hour before: it would never go else.
    """
    freed = tuple(freed)
    count = sum(now - item.at < SWEEP for item in freed)
    spent = sum(item.bytes for item in freed if now - item.at < HOUR)
    waiting: set[str] = set()
    for decision in going:
        too_many = limits.evictions_per_sweep is not None and count >= limits.evictions_per_sweep
        too_much = limits.bytes_per_hour is not None and 0 < spent > limits.bytes_per_hour - decision.estimated_bytes
        if too_many or too_much or waiting:  # the order holds: nothing smaller overtakes
            waiting.add(decision.image.id)
        count, spent = count + 1, spent + decision.estimated_bytes
    return frozenset(waiting)


def next_slot(limits: Limits, freed: Iterable[PastEviction], now: datetime) -> datetime | None:
    """When the limits may let more go: when the next of what they count is old enough; None: not by time."""
    spans = [SWEEP] if limits.evictions_per_sweep is not None else []
    spans += [HOUR] if limits.bytes_per_hour is not None else []
    ends = [item.at + span for item in freed for span in spans]
    return min((end for end in ends if end > now), default=None)
