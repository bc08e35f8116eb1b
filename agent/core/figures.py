"""Figures that the metrics show: what one process counted, and what the event log has counted since its first event."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

SWEEP_BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0, 600.0)  # seconds
LAG_BOUNDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0)  # seconds


class Histogram:
    """The number of values up to each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Each bound as text, the last one `+Inf`, with the number of values that are not above it."""
        found, count = list[tuple[str, float]](), 0
        for bound, more in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            count += more
            found.append((bound, float(count)))
        return found


@dataclass(slots=True)
class Figures:
    """What one process of the agent has counted since its start. Its parts share one object."""

    engine_connections: int = 0
    buffer_overflows: int = 0
    uses: int = 0
    broker_connections: int = 0
    broker_connected: bool = False
    build_cache_bytes: int | None = None  # None: not known, as it is asked for only if it is pruned
    last_sweep: datetime | None = None  # the end of the last sweep without an error
    sweep_seconds: Histogram = field(default_factory=lambda: Histogram(SWEEP_BOUNDS))
    event_lag_seconds: Histogram = field(default_factory=lambda: Histogram(LAG_BOUNDS))


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What the event log has counted, also of events that were deleted since."""

    evictions: dict[str, dict[str, int]] = field(default_factory=dict)  # reason -> outcome -> evictions
    measured_bytes: int = 0  # freed by evictions whose disk the agent could see
    estimated_bytes: int = 0  # the estimates for all evictions that removed their image
    build_cache_bytes: int = 0  # freed
    gaps: dict[str, int] = field(default_factory=dict)  # kind of cause -> gaps
    gap_seconds: float = 0.0
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> events
    regrets: int = 0  # evicted images that came back before their TTL had passed


@dataclass(frozen=True, slots=True)
class Freed:
    """The bytes that evictions and prunes freed in some time. `estimated`: whether any of them is an estimate."""

    bytes: int
    estimated: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """The rows in the outbox, and when the oldest was written."""

    rows: int
    oldest: datetime | None


def add_counts(one: EventCounts, more: EventCounts) -> EventCounts:
    """The sum of two counts."""
    reasons = sorted(one.evictions.keys() | more.evictions.keys())
    return EventCounts(
        evictions={reason: _add(one.evictions.get(reason, {}), more.evictions.get(reason, {})) for reason in reasons},
        measured_bytes=one.measured_bytes + more.measured_bytes,
        estimated_bytes=one.estimated_bytes + more.estimated_bytes,
        build_cache_bytes=one.build_cache_bytes + more.build_cache_bytes,
        gaps=_add(one.gaps, more.gaps),
        gap_seconds=one.gap_seconds + more.gap_seconds,
        dropped=_add(one.dropped, more.dropped),
        regrets=one.regrets + more.regrets,
    )


def _add(one: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + more.get(key, 0) for key in sorted(one.keys() | more.keys())}
