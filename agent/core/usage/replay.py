"""Continues the stream with past events of the engine: in order, each once, from where the agent stopped reading."""

from collections.abc import Iterable

from agent.core.timekeeping import ClockReading
from agent.core.usage.continuity import RING_SIZE, EventRing
from agent.core.usage.events import EngineEvent, Key

AUDIT_AT_LEAST_EVERY = 5.0  # seconds between two audits when the ring is overwritten quickly


def since(events: Iterable[EngineEvent], since_ns: int, key: Key | None = None) -> list[EngineEvent]:
    """The events since a time, and those after the event `key`, as the engine's clock may have jumped back."""
    events = list(events)
    keys = [event.key for event in events]
    after = keys.index(key) if key in keys else len(keys)
    return [event for number, event in enumerate(events) if number > after or event.time_ns >= since_ns]


def in_order(events: Iterable[EngineEvent]) -> list[EngineEvent]:
    """The events without duplicates, oldest first."""
    return sorted({event.key: event for event in events}.values(), key=lambda event: event.time_ns)


def audit_every(ring: EventRing, now: ClockReading, before: float, at_most: float) -> float:
    """Seconds until the next audit, so short that the ring will still contain events that this audit has seen.

    `before`: seconds between the last audit and this one. `at_most`: seconds between two audits of a silent stream. How
    fast the ring is overwritten is unknown at first, so the time at most doubles with each audit.
    """
    longest = min(at_most, 2 * before)
    if ring.size < RING_SIZE or ring.oldest is None:
        return longest
    ring_seconds = (now.wall - ring.oldest).total_seconds()
    return max(AUDIT_AT_LEAST_EVERY, min(longest, ring_seconds / 2))
