"""Compares the events read from the stream with the events Docker remembers: an open stream can lose events.

Audits run while the stream is silent (it may be dead), after a stall of this process, and before evictions.
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
        """Start the audit schedule of a new stream, after the catch-up."""
        self._every = self._timing.audit_interval if self._view.direct else replay.AUDIT_AT_LEAST_EVERY

    def due(self) -> float:
        """Seconds until the next audit, if the stream stays silent."""
        return self._writer.quiet_since + self._every - self._clock.monotonic()

    async def audit(self) -> None:
        """Apply the events that the stream lost and Docker remembers. Record a gap for those it may have forgotten.

        Raises StreamEnded if the stream lost events, so that the watcher opens a new one. Raises EngineUnavailable.
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
            if missing:  # after they are applied, no later audit would find them missing
                self._view.stream.lose(f"the event stream lost {len(missing)} events that Docker still remembers")
        self._every = replay.audit_every(ring, read_until, self._every, self._timing.audit_interval)
        if stalled:
            self._view.changed.set()
        if blind is not None and not missing:
            self._view.stream.lose("the event stream may have lost events that Docker no longer remembers")
        if missing or blind is not None:
            raise StreamEnded(0, str(self._view.stream.loss))

    async def _missing(self, rows: RingSnapshot) -> list[EngineEvent]:
        """The events of this session that Docker remembers and the stream did not deliver within `timing.in_flight`."""
        give_up = self._clock.monotonic() + self._timing.in_flight
        while True:
            await self._writer.ingest_pending()
            since = replay.since(rows.events, self._position.opened_ns, self._position.cursor.key)
            missing = self._view.fold.seen.unknown(since)
            if not missing or self._clock.monotonic() >= give_up:
                return replay.in_order(missing)
            await self._clock.sleep(self._timing.in_flight_poll)
