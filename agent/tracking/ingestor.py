"""Events and listings of one engine -> the EngineView, and the store.

The watcher opens streams and feeds this; the sweeper asks it to list again before it acts. One at a time: what an
event or a listing says is taken in whole, and committed with the cursor, before the next.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn

import structlog

from agent.adapters.clock import Clock
from agent.adapters.engine import Engine, EngineError, EngineInfo, RingSnapshot
from agent.adapters.sqlite.engine_store import EngineStore
from agent.adapters.sqlite.store import Store
from agent.adapters.sqlite.usage_tables import StoredEngine
from agent.adapters.state_errors import StateFull
from agent.core.policy.decision import Decision
from agent.core.timekeeping import ClockReading
from agent.core.usage import continuity, replay
from agent.core.usage.continuity import Cursor, EngineDowntime
from agent.core.usage.events import EngineEvent
from agent.core.usage.tracker import UsageTracker
from agent.tracking.buffer import Buffer, StreamEnded
from agent.tracking.engine_view import EngineView, Listing
from agent.tracking.gaps import GapDetector
from agent.tracking.interpreter import EventInterpreter
from agent.tracking.layer_probes import LayerProbes
from agent.tracking.timing import TrackingTiming

log = structlog.get_logger()

OVERLAP = timedelta(seconds=2)  # replay stops at the first older event, and writers race by as much


class EventIngestor:
    """Keeps a EngineView true to one engine, and the store true to the EngineView."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        clock: Clock,
        *,
        view: EngineView,
        gaps: GapDetector,
        interpreter: EventInterpreter,
        probes: LayerProbes,
        timing: TrackingTiming = TrackingTiming(),
    ) -> None:
        self.view = view
        self.stalls = view.stalls
        self.buffer = Buffer()  # of this connection: the next one gets its own
        self.has_uninspected = asyncio.Event()  # an inspect failed in the last listing
        self._engine = engine
        self._store = store
        self._clock = clock
        self._timing = timing
        self._gaps = gaps
        self._meaning = interpreter
        self.relist_due = interpreter.relist_due
        self._looks = probes
        self._cursor = Cursor()
        self._tolerance = gaps.tolerance
        self._down: EngineDowntime | None = None  # since the last watch ended
        self._lock = asyncio.Lock()
        self._opened_ns = 0  # from where the stream was read
        self._quiet_since = clock.monotonic()  # nothing was read, and nothing audited, since then
        self._audit_every = timing.audit_interval

    async def restore(self, info: EngineInfo) -> None:
        engine_store = await self._store.engine(info)
        saved = await engine_store.load()
        self.buffer = Buffer()
        self.stalls.restart()
        self._take_over(info, saved, engine_store)
        await self._looks.begin(info, engine_store)
        self._cursor = await self._gaps.restore(saved.cursor, info)
        self._meaning.begin(self._cursor.time_ns)
        self.view.watched = self._cursor.alive_at is not None

    def _take_over(self, info: EngineInfo, saved: StoredEngine, engine_store: EngineStore) -> None:
        view = self.view
        if view.engine is not None and view.engine.key != info.key:
            view.forget()  # another engine, image store or root directory: all images are new
            self._down = None
        view.engine = info
        view.connected.set()
        view.engine_store = engine_store
        view.tracker = UsageTracker(saved.usages, saved.containers)
        view.gap_end = saved.gap_end
        view.absences = saved.absences

    def resume_ns(self) -> int:
        """Where to read on from: the last event, else the end of the last watch, else now; less the overlap."""
        overlap = int(OVERLAP.total_seconds()) * 10**9
        last = self._cursor.time_ns or continuity.nanoseconds(self._cursor.alive_at or self._clock.now())
        return last - overlap

    # Catching up

    async def catch_up(self, since_ns: int) -> None:
        """Take in all that was told since the last watch, then a listing. Until both are done nothing is proven."""
        async with self._lock:
            self._opened_ns = since_ns
            alive_until = self._cursor.alive_at
            first = alive_until is None
            events = await self._replay_ring(since_ns, first=first)
            listing = await self._list(self._clock.now())
            read_until = self._clock.reading()
            later = replay.in_order(self._meaning.deduplicate(self.buffer.take()))
            await self._meaning.apply(later)
            self._reconcile(listing, alive_until, first=first)
            await self._meaning.reapply_after_listing(later, listing.at)
            await self._commit([*events, *later], read_until, proven=True)
            self._audit_every = self._timing.audit_interval if self._is_direct else replay.AUDIT_AT_LEAST_EVERY
        self.view.stream.catch_up()
        log.info("watching the engine", action="watch", images=len(listing.images), caught_up=len(events))

    async def _replay_ring(self, since_ns: int, *, first: bool) -> list[EngineEvent]:
        """Take in and commit what the engine remembers, before the listing: that may be cut off again and again.

        The proof comes before the cursor moves, for it starts from where the last watch ended. Before the very first
        listing nothing is known that a cursor could stand for.
        """
        started = self._clock.now()
        ring = await self._engine.ring()
        read_until = self._clock.reading()
        events = replay.in_order([*replay.since(ring.events, since_ns, self._cursor.key), *self.buffer.take()])
        if not await self._gaps.prove(self._cursor, ring, replace(read_until, wall=started), self._down):
            self.view.tracker.names.invalidate()
        await self._meaning.apply(events, self.buffer.waiting)
        if first or not self._meaning.bases_resolved:
            await self._write(None)
        else:
            self._cursor = continuity.anchored(self._cursor, ring.events)
            await self._commit(events, read_until, proven=True)
        return events

    async def follow(self) -> None:
        """Take in what the buffer gets, for ever."""
        while True:
            await self.buffer.filled.wait()
            async with self._lock:
                await self._ingest_pending()

    async def heartbeat(self) -> None:
        """Note that the watch lasts."""
        await self.check_clock()
        async with self._lock:
            await self._ingest_pending()

    async def check_clock(self) -> None:
        """Hold the wall clock against the steady one. After a step back, what it told before is no cursor."""
        moved = await self._gaps.check_clock()
        if moved is not None and moved < timedelta():
            async with self._lock:
                self._cursor = await self._gaps.rewind(self._cursor)
                self._meaning.step_back(self._cursor.time_ns)

    async def drain(self) -> bool:
        """Take in what was told before the stream ended. False where that cannot be: then it may be lost."""
        if self.buffer.overflowed:
            return False
        try:
            async with asyncio.timeout(self._timing.drain_timeout), self._lock:
                await self._ingest_pending()
        except (EngineError, StateFull, TimeoutError):
            return False
        return True

    async def record_session_end(self, *, ended: bool) -> None:
        """The watch lasted until now, unless a stall may have cost events: then it lasted until before that.

        `ended`: the stream itself ended, so that it was not dead before, as one through a network or a proxy can be.
        """
        if self.stalls.check() or not (ended or self._is_direct):
            return
        now = self._clock.reading()
        self._cursor = self._alive(now)
        self._down = EngineDowntime(until=now.wall)
        await self.view.engine_store.record_heartbeat(self._cursor)

    async def record_probe(self, at: datetime, *, down: bool) -> None:
        """An attempt at the engine that began then: whether it surely was down. Nothing else is known of that time."""
        if self._down is None:
            return
        before, self._down = self._down, self._down.record_probe(at, down=down, tolerance=self._tolerance)
        if self._down.found and not before.found:
            await self.view.engine_store.record_heartbeat(replace(self._cursor, engine_ended=True))

    def _alive(self, now: ClockReading) -> Cursor:
        return replace(self._cursor, alive_at=now.wall, steady=now.steady, boot=now.boot, awake=now.awake)

    async def protect(self, decisions: Iterable[Decision]) -> None:
        """Record which images a protection holds now, so that its end is known as `released`."""
        async with self._lock:
            for decision in decisions:
                self.view.tracker.protect(decision.image.id, decision.protected, self._clock.now())
            await self._write(None)

    async def _ingest_pending(self) -> list[EngineEvent]:
        """Apply and commit what waits, and tell the sweeper unless it was only the agent's own doing."""
        read_until, buffer = self._clock.reading(), self.buffer
        waiting = buffer.take()
        self.stalls.note_taken_in(len(waiting))
        events = self._meaning.deduplicate(waiting)
        try:
            await self._meaning.apply(events, buffer.waiting)
            await self._commit(events, read_until)
        except BaseException:
            buffer.give_back(waiting)  # in part applied already: that changes nothing
            raise
        if any(not self.view.own.caused(event) for event in events):
            self.view.changed.set()
        return events

    async def _commit(self, events: list[EngineEvent], read_until: ClockReading, *, proven: bool = False) -> None:
        """Write what was applied, and the cursor unless a stall may have cost events before it.

        `proven`: it was compared with what the engine remembers.
        """
        self._meaning.mark_applied(events)
        if self.stalls.check():
            await self._write(None)
        else:
            self._cursor = self._moved(events, read_until, proven=proven)
            await self._write(self._cursor)
        self._meaning.mark_committed()
        self.view.watched, self._down = True, None
        if events or proven:
            self._quiet_since = self._clock.monotonic()

    def _moved(self, events: list[EngineEvent], read_until: ClockReading, *, proven: bool) -> Cursor:
        """A stream that passes a network or a proxy can be dead without an end: its silence proves nothing."""
        alive = proven or events or self._is_direct
        cursor = replace(self._alive(read_until) if alive else self._cursor, engine_ended=False)
        latest = max(events, key=lambda event: event.time_ns, default=None)
        if latest is not None and latest.time_ns >= cursor.time_ns:
            cursor = replace(cursor, time_ns=latest.time_ns, key=latest.key)
        return cursor

    @property
    def _is_direct(self) -> bool:
        return self.view.engine is not None and self.view.engine.direct

    async def _write(self, cursor: Cursor | None) -> None:
        """Commit what changed, with the cursor. What cannot be written now goes with the next commit."""
        await self._meaning.flush_missed()
        changes = self.view.tracker.drain_changes(ignored_runs=cursor is not None)
        try:
            await self.view.engine_store.commit(changes, cursor)
        except BaseException:  # cancelled, too: it may wait for the store's thread, and then is never done
            self.view.tracker.requeue_changes(changes)
            raise

    # Auditing the stream

    def audit_due(self) -> float:
        """Seconds until a stream that stays silent is to be audited."""
        return self._quiet_since + self._audit_every - self._clock.monotonic()

    async def audit(self) -> None:
        """Compare what was taken in with what the engine remembers, and take in what the stream has lost.

        Raises StreamEnded where it has lost anything: then a new one is to be opened. Raises EngineUnavailable.
        """
        async with self._lock:
            self._require_live_stream()
            await self._audit()

    async def _audit(self) -> None:
        stalled, before = self.stalls.check(), self._cursor
        rows = await self._engine.ring()
        read_until = self._clock.reading()
        missing = await self._missing(rows)
        ring = continuity.make_ring(rows.events, rows.size, rows.oldest_ns, read_until.wall)
        blind = continuity.blind_in_audit(before, ring, stalled=stalled, direct=self._is_direct)
        if blind is not None and (missing or blind.length > self._tolerance):
            await self._gaps.record(blind)
        else:
            blind = None
        await self._meaning.apply(missing, self.buffer.waiting)
        self.stalls.clear()
        self._cursor = continuity.anchored(self._cursor, rows.events)
        await self._commit(missing, read_until, proven=True)
        self._audit_every = replay.audit_every(ring, read_until, self._audit_every, self._timing.audit_interval)
        if stalled:
            self.view.changed.set()
        if missing:
            self._reopen(f"the event stream lost {len(missing)} events that Docker still remembers")
        if blind is not None:
            self._reopen("the event stream may have lost events that Docker no longer remembers")

    async def _missing(self, rows: RingSnapshot) -> list[EngineEvent]:
        """What the engine remembers of this session and the stream did not bring, however long one waits for it."""
        give_up = self._clock.monotonic() + self._timing.in_flight
        while True:
            await self._ingest_pending()
            since = replay.since(rows.events, self._opened_ns, self._cursor.key)
            missing = self._meaning.deduplicate(since)
            if not missing or self._clock.monotonic() >= give_up:
                return replay.in_order(missing)
            await self._clock.sleep(self._timing.in_flight_poll)

    def _reopen(self, why: str) -> NoReturn:
        """Ends the session, whoever asked for the audit."""
        self.view.stream.lose(why)
        raise StreamEnded(0, why)

    # Listings

    async def refresh(self) -> None:
        """List again, after all that was told before. Raises EngineUnavailable; then nothing is known anew."""
        async with self._lock:
            self._require_live_stream()
            await self._ingest_pending()
            listing = await self._list(self._clock.now())
            self._require_live_stream()
            events = await self._ingest_pending()
            self._reconcile(listing, self._cursor.alive_at, first=False)
            await self._meaning.reapply_after_listing(events, listing.at)
            await self._write(self._cursor)

    def _require_live_stream(self) -> None:
        """A listing does not stand for the events that nobody reads, so it may not move the cursor."""
        if not self.view.proven:
            raise StreamEnded(0, "the engine's events are not being read")

    async def _list(self, at: datetime) -> Listing:
        self.view.tracker.begin_listing()
        containers = await self._engine.containers(self.view.containers if self.view.proven else {})
        images = tuple(await self._engine.images(self.view.details))
        verdicts, unfinished = await self._looks.settle(images, await self.view.recognise(images))
        if unfinished:
            self.relist_due.set()  # the next listing goes on with the layers
        return Listing(at=at, images=images, containers=tuple(map(self._meaning.read, containers)), verdicts=verdicts)

    def _reconcile(self, listing: Listing, alive_until: datetime | None, *, first: bool) -> None:
        self._meaning.reconcile(listing, alive_until=alive_until, first=first)
        if any(image.details is None and not image.unreadable for image in listing.images):
            self.has_uninspected.set()
        else:
            self.has_uninspected.clear()
