"""How far the engine's events were read, and until when the agent is known to have watched.

The cursor stands for everything before it: the writer commits it together with the changes of the events that it
passes. What is written here on its own is only the end of a watch, which passes no event.
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
        """`tolerance`: of a gap."""
        self.cursor = Cursor()
        self.opened_ns = 0  # from where this session's stream is read
        self.down: EngineDowntime | None = None  # since the last watch ended
        self._view = view
        self._clock = clock
        self._tolerance = tolerance

    def resume_ns(self) -> int:
        """Where to read on from: the last event, else the end of the last watch, else now; less the overlap."""
        overlap = int(OVERLAP.total_seconds()) * 10**9
        last = self.cursor.time_ns or continuity.nanoseconds(self.cursor.alive_at or self._clock.now())
        return last - overlap

    def advance(self, events: Sequence[EngineEvent], read_until: ClockReading, *, proven: bool) -> None:
        """Pass events. A stream behind a network or a proxy can be dead without an end: its silence proves nothing."""
        alive = proven or events or self._view.direct
        cursor = replace(self._alive(read_until) if alive else self.cursor, engine_ended=False)
        latest = max(events, key=lambda event: event.time_ns, default=None)
        if latest is not None and latest.time_ns >= cursor.time_ns:
            cursor = replace(cursor, time_ns=latest.time_ns, key=latest.key)
        self.cursor = cursor

    def anchor(self, remembered: Sequence[EngineEvent]) -> None:
        """After a proof: stand at an event that the engine remembers, so that the next proof can start from it."""
        self.cursor = continuity.anchored(self.cursor, remembered)

    async def record_session_end(self, *, ended: bool) -> None:
        """The watch lasted until now, unless a stall may have cost events: then it lasted until before that.

        `ended`: the stream itself ended, so that it was not dead before, as one through a network or a proxy can be.
        """
        if self._view.stalls.check() or not (ended or self._view.direct):
            return
        now = self._clock.reading()
        self.cursor = self._alive(now)
        self.down = EngineDowntime(until=now.wall)
        await self._view.engine_store.record_heartbeat(self.cursor)

    async def record_probe(self, at: datetime, *, down: bool) -> None:
        """An attempt at the engine that began then: whether it surely was down. Nothing else is known of that time."""
        if self.down is None:
            return
        before, self.down = self.down, self.down.record_probe(at, down=down, tolerance=self._tolerance)
        if self.down.found and not before.found:
            await self._view.engine_store.record_heartbeat(replace(self.cursor, engine_ended=True))

    def _alive(self, now: ClockReading) -> Cursor:
        return replace(self.cursor, alive_at=now.wall, steady=now.steady, boot=now.boot, awake=now.awake)
