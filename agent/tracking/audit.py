"""Compares what the stream brought with what the engine remembers: a stream can lose events without an end.

A stream that stays silent is audited, for it may be dead; so is one after a stall of this process, and each one before
an eviction.
"""

from agent.adapters.clock import Clock
from agent.adapters.engine import Engine, RingSnapshot
from agent.core.usage import continuity, replay
from agent.core.usage.events import EngineEvent
from agent.tracking.buffer import StreamEnded
from agent.tracking.gaps import GapDetector
from agent.tracking.timing import TrackingTiming
from agent.tracking.writer import UsageWriter


class StreamAudit:
    """Audits the stream of one engine."""

    def __init__(
        self, engine: Engine, writer: UsageWriter, gaps: GapDetector, clock: Clock, timing: TrackingTiming
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._view = writer.view
        self._position = writer.position
        self._gaps = gaps
        self._clock = clock
        self._timing = timing
        self._every = timing.audit_interval

    def begin(self) -> None:
        """A stream was caught up with."""
        self._every = self._timing.audit_interval if self._view.direct else replay.AUDIT_AT_LEAST_EVERY

    def due(self) -> float:
        """Seconds until a stream that stays silent is to be audited."""
        return self._writer.quiet_since + self._every - self._clock.monotonic()

    async def audit(self) -> None:
        """Take in what the stream has lost and the engine remembers, and record as a gap what it does not remember.

        Raises StreamEnded where the stream has lost anything: then a new one is to be opened. Raises EngineUnavailable.
        """
        async with self._writer.lock:
            self._view.stream.require()
            await self._audit()

    async def _audit(self) -> None:
        stalled, before = self._view.stalls.check(), self._position.cursor
        rows = await self._engine.ring()
        read_until = self._clock.reading()
        missing = await self._missing(rows)
        ring = continuity.make_ring(rows.events, rows.size, rows.oldest_ns, read_until.wall)
        blind = continuity.blind_in_audit(before, ring, stalled=stalled, direct=self._view.direct)
        if blind is not None and (missing or blind.length > self._gaps.tolerance):
            await self._gaps.record(blind)
        else:
            blind = None
        try:
            await self._writer.take_in(missing, self._writer.buffer.waiting)
            self._view.stalls.clear()
            self._position.anchor(rows.events)
            await self._writer.commit(missing, read_until, proven=True)
        finally:
            if missing:  # once they are folded, no later audit finds them missing
                self._view.stream.lose(f"the event stream lost {len(missing)} events that Docker still remembers")
        self._every = replay.audit_every(ring, read_until, self._every, self._timing.audit_interval)
        if stalled:
            self._view.changed.set()
        if blind is not None and not missing:
            self._view.stream.lose("the event stream may have lost events that Docker no longer remembers")
        if missing or blind is not None:
            raise StreamEnded(0, str(self._view.stream.loss))

    async def _missing(self, rows: RingSnapshot) -> list[EngineEvent]:
        """What the engine remembers of this session and the stream did not bring, however long one waits for it."""
        give_up = self._clock.monotonic() + self._timing.in_flight
        while True:
            await self._writer.ingest_pending()
            since = replay.since(rows.events, self._position.opened_ns, self._position.cursor.key)
            missing = self._view.fold.seen.unknown(since)
            if not missing or self._clock.monotonic() >= give_up:
                return replay.in_order(missing)
            await self._clock.sleep(self._timing.in_flight_poll)
