"""Which watermark to publish when. Pure: the time is an argument, in seconds of a clock that never jumps.

A watermark is published after each commit, at most once per host and second. It is also repeated: for every stream
after a new connection, as a broker that was killed has lost it; and for a stream with missing events, after longer and
longer pauses. A host that removed rows from its outbox when the broker acknowledged them sends them again when it sees
a watermark below them.
"""

import heapq
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from agent.fleet.collector.batch import Source, StreamState

PER_HOST = 1.0  # seconds at least from one watermark of a host to the next
PER_SECOND = (
    500.0  # watermarks of all hosts: publishing costs more than receiving, and a burst must not double its cost
)
WINDOW = 50  # watermarks at a time
HOLE_AGE = 10.0  # seconds that events are missing until they are asked for; that pause doubles each time
HOLE_PAUSE_MAX = 600.0  # seconds
_ROUNDING = 1e-6  # of sums of seconds
EPOCHS = 2  # of each host whose watermarks are repeated: the present one, and the one of another agent with its name


@dataclass(slots=True)
class _Hole:
    """Events that are missing directly above a watermark."""

    contiguous: int
    ask_at: float
    pause: float = HOLE_AGE


class Watermarks:
    """The watermarks of all streams, and when each is to be published next."""

    def __init__(self) -> None:
        self._seqs: dict[Source, int] = {}  # the stream that changed last is the last one
        self._holes: dict[Source, _Hole] = {}
        self._at: dict[Source, float] = {}  # when to publish
        self._queue: list[tuple[float, Source]] = []  # of the same; an entry whose time differs from `_at` is void
        self._not_before: dict[str, float] = {}  # by host
        self._allowance = float(WINDOW)  # watermarks that may be published now
        self._counted_at = 0.0

    def update(self, streams: Mapping[Source, StreamState], now: float) -> None:
        """Take over what was committed. Each of these streams is due, also if its watermark did not rise."""
        for source, state in streams.items():
            self._seqs.pop(source, None)
            self._seqs[source] = state.contiguous
            self._watch(source, state, now)
            self._schedule(source, max(now, self._not_before.get(source[0], now)))

    def load(self, streams: Mapping[Source, StreamState], now: float) -> None:
        """Take over all streams of the database, none of which is due until `repeat`."""
        for source, state in streams.items():
            self._seqs[source] = state.contiguous
            self._watch(source, state, now)

    def repeat(self, now: float) -> None:
        """Publish all of them again, spread over time. The broker then retains the last one of each host."""
        by_host: defaultdict[str, list[Source]] = defaultdict(list)
        for source in self._seqs:
            by_host[source[0]].append(source)
        for number, sources in enumerate(by_host.values()):
            begin = now + number / PER_SECOND
            for turn, source in enumerate(sources[-EPOCHS:]):
                self._at.pop(source, None)
                self._schedule(source, begin + turn * PER_HOST)

    def due(self, now: float) -> list[tuple[Source, int]]:
        """The watermarks to publish now, at most WINDOW. They count as published."""
        self._allowance = min(WINDOW, self._allowance + (now - self._counted_at) * PER_SECOND)
        self._counted_at = now
        found: list[tuple[Source, int]] = []
        while len(found) < int(self._allowance + _ROUNDING) and self._queue and self._queue[0][0] <= now:
            at, source = heapq.heappop(self._queue)
            if self._at.get(source) == at and self._may_publish(source, now):
                found.append((source, self._seqs[source]))
                self._published(source, now)
        self._allowance -= len(found)
        return found

    def next_at(self) -> float | None:
        """When something may be due next; None: not until an update."""
        if not self._queue:
            return None
        allowed = self._counted_at + max(0.0, 1 - self._allowance) / PER_SECOND
        return max(self._queue[0][0], allowed)

    def _may_publish(self, source: Source, now: float) -> bool:
        """Whether its host had none for long enough. Otherwise it is scheduled anew."""
        del self._at[source]
        earliest = self._not_before.get(source[0], now)
        if earliest > now:
            self._schedule(source, earliest)
        return earliest <= now

    def _published(self, source: Source, now: float) -> None:
        self._not_before[source[0]] = now + PER_HOST
        hole = self._holes.get(source)
        if hole is None:
            return
        if now >= hole.ask_at:
            hole.pause = min(2 * hole.pause, HOLE_PAUSE_MAX)
            hole.ask_at = now + hole.pause
        self._schedule(source, hole.ask_at)

    def _watch(self, source: Source, state: StreamState, now: float) -> None:
        """Ask for missing events again, from anew whenever the watermark has risen."""
        hole = self._holes.get(source)
        if not state.missing:
            self._holes.pop(source, None)
        elif hole is None or hole.contiguous != state.contiguous:
            self._holes[source] = _Hole(state.contiguous, now + HOLE_AGE)
            self._schedule(source, now + HOLE_AGE)

    def _schedule(self, source: Source, at: float) -> None:
        """Publish it then, or earlier if that is scheduled already."""
        if at < self._at.get(source, at + 1):
            self._at[source] = at
            heapq.heappush(self._queue, (at, source))
