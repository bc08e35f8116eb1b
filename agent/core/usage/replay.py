"""What the engine remembers, as the rest of the stream: in order, each event once, from where we had read."""

from collections.abc import Iterable

from agent.core.timekeeping import ClockReading
from agent.core.usage.continuity import RING_SIZE, EventRing
from agent.core.usage.events import EngineEvent, Key

AUDIT_AT_LEAST_EVERY = 5.0  # seconds, where other events soon push out what the last audit has seen


def since(events: Iterable[EngineEvent], since_ns: int, key: Key | None = None) -> list[EngineEvent]:
    """The events from a time on, and those that follow one in the engine's memory: its clock may have been set back."""
    events = list(events)
    keys = [event.key for event in events]
    after = keys.index(key) if key in keys else len(keys)
    return [event for number, event in enumerate(events) if number > after or event.time_ns >= since_ns]


def in_order(events: Iterable[EngineEvent]) -> list[EngineEvent]:
    """Each event once, oldest first."""
    return sorted({event.key: event for event in events}.values(), key=lambda event: event.time_ns)


def audit_every(ring: EventRing, now: ClockReading, before: float, at_most: float) -> float:
    """Seconds until the next audit: soon enough for the engine to still remember what this one has seen.

    `before`: how long it was until this one. `at_most`: seconds between audits of a silent stream. How fast other
    events push out what the engine remembers is not known at first, so the time grows step by step.
    """
    longest = min(at_most, 2 * before)
    if ring.size < RING_SIZE or ring.oldest is None:
        return longest
    remembered = (now.wall - ring.oldest).total_seconds()
    return max(AUDIT_AT_LEAST_EVERY, min(longest, remembered / 2))
