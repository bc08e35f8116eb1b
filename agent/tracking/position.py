"""How far Docker's events were read, and until when the agent is known to have watched.

The writer commits the cursor together with the changes of all events up to it. This module writes the cursor alone only
to record the end of a watch, which passes no event.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from agent.adapters.clock import Clock
from agent.core.timekeeping import ClockReading
from agent.core.usage import continuity
from agent.core.usage.continuity import Cursor, EngineDowntime
from agent.core.usage.events import EngineEvent
from agent.tracking.engine_view import EngineView

OVERLAP = timedelta(seconds=2)  # replay stops at the first older event, and writers race by as much


class ReadPosition:
    """The cursor of one engine, and the engine's downtime since the last watch."""

    def __init__(self, view: EngineView, clock: Clock, tolerance: timedelta) -> None:
        """`tolerance`: gaps that are not longer are not recorded."""
        self.cursor = Cursor()
        self.opened_ns = 0  # the time from which this session's stream is read
        self.down: EngineDowntime | None = None  # since the last watch ended
        self._view = view
        self._clock = clock
        self.tolerance = tolerance

    def resume_ns(self) -> int:
        """The time to resume from: the last event, else the end of the last watch, else now; minus the overlap."""
        overlap = int(OVERLAP.total_seconds()) * 10**9
        last = self.cursor.time_ns or continuity.nanoseconds(self.cursor.alive_at or self._clock.now())
        return last - overlap

    def advance(self, events: Sequence[EngineEvent], read_until: ClockReading, *, proven: bool) -> None:
        """Move the cursor past events. Silence behind a proxy or network proves nothing: the stream may be dead."""
        alive = proven or events or self._view.direct
        cursor = replace(self._alive(read_until) if alive else self.cursor, engine_ended=False)
        latest = max(events, key=lambda event: event.time_ns, default=None)
        if latest is not None and latest.time_ns >= cursor.time_ns:
            cursor = replace(cursor, time_ns=latest.time_ns, key=latest.key)
        self.cursor = cursor

    def anchor(self, remembered: Sequence[EngineEvent]) -> None:
        """After a proof: move the cursor to an event that Docker remembers, so that the next proof starts from it."""
        self.cursor = continuity.anchored(self.cursor, remembered)

    async def record_session_end(self, *, ended: bool) -> None:
        """Record that the watch lasted until now. After a stall, which may have lost events, record nothing.

        `ended`: the engine ended the stream. This proves that the stream was alive, also through a network or a proxy.
        """
        if self._view.stalls.check() or not (ended or self._view.direct):
            return
        now = self._clock.reading()
        self.cursor = self._alive(now)
        self.down = EngineDowntime(until=now.wall)
        await self._view.engine_store.record_heartbeat(self.cursor)

    async def record_probe(self, at: datetime, *, down: bool) -> None:
        """Record an attempt to reach the engine that began at `at`. `down`: the engine was certainly not running."""
        if self.down is None:
            return
        before, self.down = self.down, self.down.record_probe(at, down=down, tolerance=self.tolerance)
        if self.down.found and not before.found:
            await self._view.engine_store.record_heartbeat(replace(self.cursor, engine_ended=True))

    def _alive(self, now: ClockReading) -> Cursor:
        return replace(self.cursor, alive_at=now.wall, steady=now.steady, boot=now.boot, awake=now.awake)
