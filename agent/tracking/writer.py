"""The one writer of usage: every change of the tracker is made here, and committed with the cursor.

An event is taken from the buffer, left out if it is known, resolved by asking the engine, and folded; then the changes
and the cursor are committed in one transaction, and the events are confirmed. Only the questions and the commit wait.
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
    """An event that was folded, and what was found out about it."""

    event: EngineEvent
    resolved: Resolved


class UsageWriter:
    """Takes in the events of one engine. Whoever calls its lower half has the `lock`."""

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
        self.lock = asyncio.Lock()  # from the first question about an event, or a listing, to the commit
        self.buffer = Buffer()  # of this connection: the next one gets its own
        self.relist_due = asyncio.Event()  # a listing is due: an event changed images
        self.quiet_since = clock.monotonic()  # nothing was read, and nothing audited, since then
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
        """The agent itself has removed an image: it is gone before its event comes. Written with the next commit."""
        async with self.lock:
            self._fold.tracker.apply_delete(image_id)

    # With the lock

    async def ingest_pending(self) -> list[FoldedEvent]:
        """Take in and commit what waits, and wake the sweeper unless only the agent's own acts raised it."""
        read_until, buffer = self._clock.reading(), self.buffer
        waiting = buffer.take()
        self.view.stalls.note_taken_in(len(waiting))
        try:
            folded = await self.take_in(waiting)
            committed = await self.commit([item.event for item in folded], read_until)
        except BaseException:
            buffer.give_back(waiting)  # those that were folded already are known
            raise
        if any(not self._fold.own.caused(event) for event in committed):
            self.view.changed.set()
        return folded

    async def take_in(self, events: Sequence[EngineEvent], waiting: Iterable[EngineEvent] = ()) -> list[FoldedEvent]:
        """Resolve and fold events in their order, those that are known left out. Raises EngineUnavailable.

        `waiting`: what came since, which may have moved the references of these events.
        """
        known, folded = (*events, *waiting), list[FoldedEvent]()
        for event in events:
            if not self._fold.seen.is_known(event):
                folded.append(FoldedEvent(event, await self._resolver.resolve(event, known)))
                self._apply(folded[-1])
        return folded

    async def reapply(self, folded: Iterable[FoldedEvent], listed: datetime) -> None:
        """Fold once more, on top of a listing, what happened while it was made: that is newer.

        A container whose image was not known before may be known by name now. Raises EngineUnavailable.
        """
        for item in folded:
            if item.event.at >= listed:
                unknown = item.event.kind == "container" and item.resolved.image_id is None
                resolved = await self._resolver.resolve(item.event, ()) if unknown else item.resolved
                self._apply(FoldedEvent(item.event, resolved), again=True)

    def _apply(self, item: FoldedEvent, *, again: bool = False) -> None:
        if self._fold.apply(item.event, item.resolved, self._clock.now(), again=again):
            self.relist_due.set()

    async def commit(
        self, events: Sequence[EngineEvent], read_until: ClockReading, *, proven: bool = False
    ) -> list[EngineEvent]:
        """Write what was folded, and the cursor after `events` unless a stall may have cost events before it.

        `proven`: the stream was compared with what the engine remembers. Returns the events that are on disk now and
        were not before.
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
        """Commit what changed, with the cursor. What cannot be written now is written with the next commit.

        Uses that could not be matched to an image are recorded as a gap before any cursor passes them.
        """
        if self._fold.missed is not None:
            await self._gaps.record(self._fold.missed)
            self._fold.missed = None
        tracker = self._fold.tracker
        changes = tracker.drain_changes(ignored_runs=cursor is not None)
        try:
            await self.view.engine_store.commit(changes, cursor)
        except BaseException:  # cancelled, too: it may wait for the store's thread, and then is never done
            tracker.requeue_changes(changes)
            raise
