"""The only writer of usage: it makes every change of the tracker, and commits it with the cursor.

It takes events from the buffer, skips known ones, looks up what they do not contain, and applies them. It commits the
changes and the cursor in one transaction, and confirms the events. Only the look-ups and the commit wait.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.adapters.clock import Clock
from agent.core.policy.decision import Decision
from agent.core.timekeeping import ClockReading
from agent.core.usage.continuity import Cursor
from agent.core.usage.events import EngineEvent
from agent.core.usage.fold import Resolved
from agent.tracking.buffer import Buffer
from agent.tracking.engine_view import EngineView
from agent.tracking.gaps import GapDetector
from agent.tracking.position import ReadPosition
from agent.tracking.resolver import EventResolver


@dataclass(frozen=True, slots=True)
class FoldedEvent:
    """An event that was applied, with the facts that were looked up for it."""

    event: EngineEvent
    resolved: Resolved


class UsageWriter:
    """Applies the events of one engine. Callers of the methods below "With the lock" must hold the `lock`."""

    def __init__(
        self,
        view: EngineView,
        clock: Clock,
        *,
        resolver: EventResolver,
        gaps: GapDetector,
        position: ReadPosition,
    ) -> None:
        self.view = view
        self.position = position
        self.lock = asyncio.Lock()  # held from the first look-up or the listing to the commit
        self.buffer = Buffer()  # of this connection: the next connection gets its own
        self.relist_due = asyncio.Event()  # a listing is due: an event changed images
        self.quiet_since = clock.monotonic()  # the last time that an event was read or the stream audited
        self._clock = clock
        self._fold = view.fold
        self._resolver = resolver
        self._gaps = gaps

    async def protect(self, decisions: Iterable[Decision]) -> None:
        """Record which images are protected now, so that the end of a protection is known as `released`."""
        async with self.lock:
            for decision in decisions:
                self._fold.tracker.protect(decision.image.id, decision.protected, self._clock.now())
            await self.write(None)

    async def mark_removed(self, image_id: str) -> None:
        """Record that the agent removed an image, before its event arrives. The next commit writes it."""
        async with self.lock:
            self._fold.tracker.apply_delete(image_id)

    # With the lock

    async def ingest_pending(self) -> list[FoldedEvent]:
        """Apply and commit the waiting events. Wake the sweeper unless the agent caused all of them."""
        read_until, buffer = self._clock.reading(), self.buffer
        waiting = buffer.take()
        self.view.stalls.note_taken_in(len(waiting))
        try:
            folded = await self.take_in(waiting)
            committed = await self.commit([item.event for item in folded], read_until)
        except BaseException:
            buffer.give_back(waiting)  # those that were applied already are skipped next time
            raise
        now = self._clock.now()
        for event in committed:
            self.view.figures.event_lag_seconds.observe(max(0.0, (now - event.at).total_seconds()))
        if any(not self._fold.own.caused(event) for event in committed):
            self.view.changed.set()
        return folded

    async def take_in(self, events: Sequence[EngineEvent], waiting: Iterable[EngineEvent] = ()) -> list[FoldedEvent]:
        """Look up and apply events in order, except known ones. Raises EngineUnavailable.

        `waiting`: later events, which may have moved the references of these events.
        """
        known, folded = (*events, *waiting), list[FoldedEvent]()
        for event in events:
            if not self._fold.seen.is_known(event):
                folded.append(FoldedEvent(event, await self._resolver.resolve(event, known)))
                self._apply(folded[-1])
        return folded

    async def reapply(self, folded: Iterable[FoldedEvent], listed: datetime) -> None:
        """Apply again, after a listing, the events since it was requested: they are newer than the listing.

        A listing may also show the image of a container that was unknown before. Raises EngineUnavailable.
        """
        for item in folded:
            unknown = item.event.kind == "container" and item.resolved.image_id is None
            if unknown or item.event.at >= listed:
                resolved = await self._resolver.resolve(item.event, ()) if unknown else item.resolved
                self._apply(FoldedEvent(item.event, resolved), again=True)

    def _apply(self, item: FoldedEvent, *, again: bool = False) -> None:
        if self._fold.apply(item.event, item.resolved, self._clock.now(), again=again):
            self.relist_due.set()

    async def commit(
        self, events: Sequence[EngineEvent], read_until: ClockReading, *, proven: bool = False
    ) -> list[EngineEvent]:
        """Write the changes, and the cursor after `events` unless a stall may have lost events.

        `proven`: the stream was compared with the events that Docker remembers. Returns the events whose changes are
        now on disk for the first time.
        """
        if self.view.stalls.check():
            await self.write(None)
        else:
            self.position.advance(events, read_until, proven=proven)
            await self.write(self.position.cursor)
        self.position.down = None
        if events or proven:
            self.quiet_since = self._clock.monotonic()
        return self._fold.confirm()

    async def write(self, cursor: Cursor | None) -> None:
        """Commit the changes, with the cursor if there is one. After a failure, the next commit writes them.

        Uses that could not be matched to an image are recorded as a gap before the cursor passes them.
        """
        if self._fold.missed is not None:
            await self._gaps.record(self._fold.missed)
            self._fold.missed = None
        tracker = self._fold.tracker
        changes = tracker.drain_changes(ignored_runs=cursor is not None)
        try:
            await self.view.engine_store.commit(changes, cursor)
        except BaseException:  # a cancellation, too: a commit still queued for the store's thread then never runs
            tracker.requeue_changes(changes)
            raise
        self.view.figures.uses += len(changes.uses)
