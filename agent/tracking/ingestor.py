"""Applies the events and listings of one engine to the EngineView and to the store.

The watcher passes it the events of each stream. The sweeper requests a new listing from it before each eviction. Each
batch of events and each listing is applied completely, and committed with the cursor, before the next.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from agent.adapters.clock import Clock
from agent.adapters.engine import Engine, EngineError, EngineInfo
from agent.adapters.sqlite.engine_store import EngineStore
from agent.adapters.sqlite.store import Store
from agent.adapters.sqlite.usage_tables import StoredEngine
from agent.adapters.state_errors import StateFull
from agent.core.policy.decision import Decision
from agent.core.usage import replay
from agent.core.usage.attribution import IgnoredContainers
from agent.core.usage.events import EngineEvent
from agent.core.usage.tracker import UsageTracker
from agent.tracking.audit import StreamAudit
from agent.tracking.buffer import Buffer
from agent.tracking.engine_view import Listing
from agent.tracking.gaps import GapDetector
from agent.tracking.layer_probes import LayerProbes, Probing
from agent.tracking.timing import TrackingTiming
from agent.tracking.writer import FoldedEvent, UsageWriter

log = structlog.get_logger()


class EventIngestor:
    """Keeps an EngineView in step with one engine, and the store in step with the EngineView."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        clock: Clock,
        *,
        writer: UsageWriter,
        gaps: GapDetector,
        auditor: StreamAudit,
        probes: LayerProbes,
        timing: TrackingTiming = TrackingTiming(),
    ) -> None:
        self.view = writer.view
        self.stalls = writer.view.stalls
        self.position = writer.position
        self.relist_due = writer.relist_due
        self.has_uninspected = asyncio.Event()  # an inspect failed in the last listing
        self._engine = engine
        self._store = store
        self._clock = clock
        self._timing = timing
        self._fold = writer.view.fold
        self._gaps = gaps
        self._writer = writer
        self._lock = writer.lock
        self._auditor = auditor
        self._probes = probes

    def take(self, ignored: IgnoredContainers, gap_tolerance: timedelta, probing: Probing) -> None:
        """Use other settings from the next event on, and list again. Uses that are recorded already stay."""
        self._fold.ignored = ignored
        self._gaps.tolerance = self.position.tolerance = gap_tolerance
        self._probes.take(probing)
        self.relist_due.set()

    @property
    def buffer(self) -> Buffer:
        """The events of this connection that are not applied yet."""
        return self._writer.buffer

    async def restore(self, info: EngineInfo) -> None:
        """Load the stored state of an engine that was just connected to."""
        engine_store = await self._store.engine(info)
        saved = await engine_store.load()
        self._writer.buffer = Buffer()
        self.stalls.restart()
        self._take_over(info, saved, engine_store)
        await self._probes.begin(info, engine_store)
        cursor = self.position.cursor = await self._gaps.restore(saved.cursor, info)
        self._fold.seen.step_back(cursor.time_ns)

    def _take_over(self, info: EngineInfo, saved: StoredEngine, engine_store: EngineStore) -> None:
        view = self.view
        if view.engine is not None and view.engine.key != info.key:
            view.forget()  # another engine, image store or root directory: all images are new
            self.position.down = None
        view.engine = info
        view.connected.set()
        view.engine_store = engine_store
        tracker, cursor = UsageTracker(saved.usages, saved.containers), saved.cursor
        self._fold.begin(tracker, cursor.time_ns, watched=cursor.alive_at is not None)
        view.gap_end = saved.gap_end
        view.absences = saved.absences

    # Catching up

    async def catch_up(self, since_ns: int) -> None:
        """Apply all events since the last watch, then a listing. The stream is proven only after both."""
        async with self._lock:
            self.position.opened_ns = since_ns
            alive_until = self.position.cursor.alive_at
            first = alive_until is None
            events, folded = await self._replay_ring(since_ns, first=first)
            listing = await self._list(self._clock.now())
            read_until = self._clock.reading()
            later = replay.in_order(self.buffer.take())
            folded += await self._writer.take_in(later)
            self._reconcile(listing, alive_until, first=first)
            await self._writer.reapply(folded, listing.at)
            await self._writer.commit([*events, *later], read_until, proven=True)
            self._auditor.begin()
        self.view.stream.catch_up()
        log.info("watching the engine", action="watch", images=len(listing.images), caught_up=len(events))

    async def _replay_ring(self, since_ns: int, *, first: bool) -> tuple[list[EngineEvent], list[FoldedEvent]]:
        """Apply and commit the events that Docker remembers, before the listing, which may fail again and again.

        `prove` runs before the cursor moves, as it starts from the end of the last watch. Before the first listing
        ever, no image or name is known, so the cursor must not move: the events are applied again after that listing.
        Returns all events, and those to apply again.
        """
        started = self._clock.now()
        ring = await self._engine.ring()
        read_until = self._clock.reading()
        position, buffer = self.position, self.buffer
        events = replay.in_order([*replay.since(ring.events, since_ns, position.cursor.key), *buffer.take()])
        if not await self._gaps.prove(position.cursor, ring, replace(read_until, wall=started), position.down):
            self._fold.tracker.names.invalidate()
        folded = await self._writer.take_in(events, buffer.waiting)
        if first or self._fold.needs_listing:
            await self._writer.write(None)
        else:
            position.anchor(ring.events)
            await self._writer.commit(events, read_until, proven=True)
        return events, folded if first else []

    # Following

    async def follow(self) -> None:
        """Apply the events of the buffer, for ever."""
        while True:
            await self.buffer.filled.wait()
            async with self._lock:
                await self._writer.ingest_pending()

    async def heartbeat(self) -> None:
        """Record that the agent is still watching."""
        await self.check_clock()
        async with self._lock:
            await self._writer.ingest_pending()

    async def check_clock(self) -> None:
        """Compare the wall clock with the steady one. If the wall clock was set back, move the cursor to now."""
        moved = await self._gaps.check_clock()
        if moved is not None and moved < timedelta():
            async with self._lock:
                cursor = self.position.cursor = await self._gaps.rewind(self.position.cursor)
                self._fold.seen.step_back(cursor.time_ns)

    async def drain(self) -> bool:
        """Apply the events that arrived before the stream ended. Returns False if it cannot: they may be lost."""
        if self.buffer.overflowed:
            return False
        try:
            async with asyncio.timeout(self._timing.drain_timeout), self._lock:
                await self._writer.ingest_pending()
        except (EngineError, StateFull, TimeoutError):
            return False
        return True

    def audit_due(self) -> float:
        """Seconds until the next audit, if the stream stays silent."""
        return self._auditor.due()

    async def audit(self) -> None:
        """See `StreamAudit.audit`."""
        await self._auditor.audit()

    # The agent's own acts

    async def protect(self, decisions: Iterable[Decision]) -> None:
        """Record which images are protected now, so that the end of a protection is known as `released`."""
        await self._writer.protect(decisions)

    async def mark_removed(self, image_id: str) -> None:
        """Record that the agent itself removed an image."""
        await self._writer.mark_removed(image_id)

    # Listings

    async def refresh(self) -> None:
        """Apply all waiting events and a new listing. Raises EngineUnavailable; the old listing then stays."""
        async with self._lock:
            self.view.stream.require()
            await self._writer.ingest_pending()
            listing = await self._list(self._clock.now())
            self.view.stream.require()
            folded = await self._writer.ingest_pending()
            self._reconcile(listing, self.position.cursor.alive_at, first=False)
            await self._writer.reapply(folded, listing.at)
            await self._writer.write(self.position.cursor)

    async def _list(self, at: datetime) -> Listing:
        self.view.tracker.begin_listing()
        containers = await self._engine.containers(self.view.containers if self.view.proven else {})
        images = tuple(await self._engine.images(self.view.details))
        verdicts, unfinished = await self._probes.settle(images, await self.view.recognise(images))
        if unfinished:
            self.relist_due.set()  # the next listing continues the probes
        attributed = tuple(map(self._fold.attribute, containers))
        return Listing(at=at, images=images, containers=attributed, verdicts=verdicts)

    def _reconcile(self, listing: Listing, alive_until: datetime | None, *, first: bool) -> None:
        self._fold.reconcile(listing, self._clock.now(), alive_until=alive_until, first=first)
        self.view.show(listing)
        if any(image.details is None and not image.unreadable for image in listing.images):
            self.has_uninspected.set()
        else:
            self.has_uninspected.clear()
