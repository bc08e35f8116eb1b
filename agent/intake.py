"""Events and listings of one engine -> the Sight, and the store.

The watcher opens streams and feeds this; the sweeper asks it to list again before it acts. One at a time: what an
event or a listing says is taken in whole, and committed with the cursor, before the next.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from agent.adapters.clock import Clock
from agent.adapters.database import StateError, StateFull
from agent.adapters.engine import Engine, EngineError, EngineInfo, NotFound
from agent.adapters.store import Store
from agent.adapters.tables import Saved
from agent.buffer import Buffer, StreamEnded
from agent.core import continuity, layers
from agent.core.continuity import Blind, Cursor
from agent.core.events import COMMIT, EngineEvent, Key
from agent.core.model import Decision, Snapshot
from agent.core.timekeeping import Reading
from agent.core.usage import Book
from agent.gaps import Gaps
from agent.sight import Sight

log = structlog.get_logger()

OVERLAP = timedelta(seconds=2)  # replay stops at the first older event, and writers race by as much
REMEMBERED = 4096  # keys of events taken in, to know a replay by
LAST_WORDS = 2.0  # seconds to take in what was told before a stream ended


class Intake:
    """Keeps a Sight true to one engine, and the store true to the Sight."""

    def __init__(self, engine: Engine, store: Store, clock: Clock, *, gap_tolerance: timedelta) -> None:
        self.sight = Sight()
        self.buffer = Buffer()
        self.stale = asyncio.Event()  # a listing is due: an event told of images
        self._engine = engine
        self._store = store
        self._clock = clock
        self._gaps = Gaps(self.sight, store, clock, gap_tolerance)
        self._cursor = Cursor()
        self._seen: dict[Key, None] = {}
        self._built: dict[str, datetime] = {}  # images that a build may have made, until they are listed
        self._came: set[str] = set()  # images that came whole, by import, load or pull, until they are listed
        self._turn = asyncio.Lock()

    async def restore(self, info: EngineInfo) -> None:
        saved = await self._store.run(lambda tables: tables.load(info.id, info.driver))
        self.buffer = Buffer()
        self._take_over(info, saved)
        self._cursor = await self._gaps.look_back(saved.cursor, info)

    def _take_over(self, info: EngineInfo, saved: Saved) -> None:
        sight = self.sight
        if sight.engine is not None and (sight.engine.id, sight.engine.driver) != (info.id, info.driver):
            sight.images, sight.verdicts = (), {}  # another engine, or another image store: all IDs are new
        sight.engine = info
        sight.row = saved.engine
        sight.book = Book(saved.usages, saved.held)
        sight.gap_end = saved.gap_end
        sight.absences = saved.absences

    def resume_ns(self) -> int:
        """Where to read on from: the last event, else the end of the last watch, else now; less the overlap."""
        overlap = int(OVERLAP.total_seconds()) * 10**9
        last = self._cursor.time_ns or continuity.nanoseconds(self._cursor.alive_at or self._clock.now())
        return last - overlap

    # Catching up

    async def catch_up(self, since_ns: int) -> None:
        async with self._turn:
            started = self._clock.now()
            listing = await self._list(started)
            ring = await self._engine.ring()
            read_until = self._clock.reading()
            told = _in_order([*ring.events, *self.buffer.take()], since_ns)
            for event in told:
                await self._apply(event)
            await self._reconcile(listing, first=self._cursor.alive_at is None)
            await self._apply_later(told, started)
            await self._gaps.prove(self._cursor, ring, replace(read_until, wall=started))
            await self._commit(told, read_until)
        self.sight.proven = True
        self.sight.changed.set()
        log.info("watching the engine", action="watch", images=len(listing.images), caught_up=len(told))

    async def _apply_later(self, told: Iterable[EngineEvent], listed: datetime) -> None:
        """What happened while the listing was made is newer than it, and applied once more on top of it."""
        for event in told:
            if event.at >= listed:
                await self._apply(event)

    async def follow(self) -> None:
        """Take in what the buffer gets, for ever."""
        while True:
            await self.buffer.filled.wait()
            async with self._turn:
                await self._take_in()

    async def beat(self) -> None:
        """Ping the engine, and note that the watch lasts. Raises EngineUnavailable."""
        await self._engine.ping()
        await self.check_clock()
        async with self._turn:
            await self._take_in()

    async def check_clock(self) -> None:
        """Hold the wall clock against the steady one. After a step back, what it told before is no cursor."""
        moved = await self._gaps.check_clock()
        if moved is not None and moved < timedelta():
            async with self._turn:
                self._cursor = await self._gaps.rewind(self._cursor)

    async def finish(self) -> bool:
        """Take in what was told before the stream ended. False where that cannot be: then it may be lost."""
        if self.buffer.overflowed:
            return False
        try:
            async with asyncio.timeout(LAST_WORDS), self._turn:
                await self._take_in()
        except (EngineError, StateFull, TimeoutError):
            return False
        return True

    async def note_the_end(self, *, engine_ended: bool, stopped: bool) -> None:
        """The watch lasted until now; whether the engine ended it, or the agent was told to stop."""
        row, ending = self.sight.row, replace(self._alive(self._clock.reading()), engine_ended=engine_ended)
        await self._store.run(lambda tables: tables.beat(row, replace(ending, stopped=stopped)))

    def _alive(self, now: Reading) -> Cursor:
        return replace(self._cursor, alive_at=now.wall, steady=now.steady, boot=now.boot)

    async def protect(self, decisions: Iterable[Decision]) -> None:
        """Record which images a protection holds now, so that its end is known as `released`."""
        async with self._turn:
            for decision in decisions:
                self.sight.book.protect(decision.image.id, decision.protected, self._clock.now())
            await self._write(None)

    async def _take_in(self) -> list[EngineEvent]:
        """Apply and commit what waits, and tell the sweeper unless it was only the agent's own doing."""
        read_until, buffer = self._clock.reading(), self.buffer
        waiting = buffer.take()
        told = [event for event in waiting if event.key not in self._seen]
        try:
            for event in told:
                await self._apply(event)
            await self._commit(told, read_until)
        except BaseException:
            buffer.give_back(waiting)  # in part applied already: that changes nothing
            raise
        if any(not self.sight.own.covers(event) for event in told):
            self.sight.changed.set()
        return told

    async def _commit(self, told: list[EngineEvent], read_until: Reading) -> None:
        latest = max(told, key=lambda event: event.time_ns, default=None)
        self._cursor = replace(self._alive(read_until), engine_ended=False, stopped=False)
        if latest is not None and latest.time_ns >= self._cursor.time_ns:
            self._cursor = replace(self._cursor, time_ns=latest.time_ns, key=latest.key)
        self._remember(told)
        await self._write(self._cursor)

    async def _write(self, cursor: Cursor | None) -> None:
        """Commit what changed, with the cursor. What cannot be written now goes with the next commit."""
        changes, row = self.sight.book.take_changes(), self.sight.row
        try:
            await self._store.run(lambda tables: tables.commit(row, changes, cursor))
        except StateError:
            self.sight.book.give_back(changes)
            raise

    def _remember(self, told: list[EngineEvent]) -> None:
        self._seen.update({event.key: None for event in told})
        for key in list(self._seen)[: max(0, len(self._seen) - REMEMBERED)]:
            del self._seen[key]

    async def _apply(self, event: EngineEvent) -> None:
        if event.action == COMMIT:
            self.stale.set()
        elif event.kind == "container":
            await self._apply_container(event)
        else:
            await self._apply_image(event)

    async def _apply_container(self, event: EngineEvent) -> None:
        image_id = await self._image_of(event)
        if image_id is not None:
            self.sight.book.apply_container(event, image_id, self._clock.now())
            return
        at = min(event.at, self._clock.now())
        await self._gaps.record(Blind(at, at, f"a use of {event.image!r} could not be matched to an image"))

    async def _image_of(self, event: EngineEvent) -> str | None:
        """The image of a container event: what is known of the container, the engine's word, the name as of then.

        A container that is gone may have been told of before, and then its name may mean another image by now.
        """
        row, held = self.sight.row, self.sight.book.held.get(event.actor)
        if held is not None:
            return held.image_id
        try:
            return await self._engine.container_image(event.actor)
        except NotFound:
            told_before = await self._store.run(lambda tables: tables.image_of(row, event.actor))
            return told_before or self.sight.book.names.resolve(event.image)

    async def _apply_image(self, event: EngineEvent) -> None:
        book, now, own = self.sight.book, self._clock.now(), self.sight.own.covers(event)
        if event.action == "tag":
            book.apply_tag(event.actor, event.name, event.at, now, own=own)
        elif event.action == "untag" and event.name != event.actor:
            book.names.drop(event.name)
        elif event.action == "delete":
            book.apply_delete(event.actor)
        elif event.action == "pull":
            await self._apply_pull(event)
        elif event.action in ("load", "import", "create"):
            book.apply_arrival(event.actor, event.at, now)
        if event.action in ("load", "import"):
            self._came.add(event.actor)
        if not own:
            self.stale.set()
        if not own and event.action in ("tag", "create"):
            self._built[event.actor] = event.at

    async def _apply_pull(self, event: EngineEvent) -> None:
        """A pull tells the reference only; what it means now is asked."""
        with contextlib.suppress(NotFound):
            image_id = await self._engine.image_id(event.actor)
            self.sight.book.apply_pull(image_id, event.actor, event.at, self._clock.now())
            self._came.add(image_id)

    # Listings

    async def refresh(self) -> None:
        """List again, after all that was told before. Raises EngineUnavailable; then nothing is known anew."""
        async with self._turn:
            self._insist_on_the_stream()
            await self._take_in()
            listing = await self._list(self._clock.now())
            self._insist_on_the_stream()
            told = await self._take_in()
            await self._reconcile(listing, first=False)
            await self._apply_later(told, listing.at)
            await self._write(self._cursor)

    def _insist_on_the_stream(self) -> None:
        """A listing does not stand for the events that nobody reads, so it may not move the cursor."""
        if not self.sight.proven:
            raise StreamEnded(0, "the engine's events are not being read")

    async def _list(self, at: datetime) -> Snapshot:
        containers = await self._engine.containers(self.sight.containers if self.sight.proven else {})
        images = await self._engine.images(self.sight.details)
        return Snapshot(at=at, images=tuple(images), containers=tuple(containers))

    async def _reconcile(self, listing: Snapshot, *, first: bool) -> None:
        now = self._clock.now()
        alive = self._cursor.alive_at or now
        new = self.sight.book.reconcile(listing, now, alive_until=alive, busy=self.sight.own.busy)
        self.sight.show(listing.images, {container.id: container for container in listing.containers})
        if not first:
            candidates = {**dict.fromkeys(new, now), **self._built}
            self._touch_bases({key: at for key, at in candidates.items() if key not in self._came})
        self._built, self._came = {}, set()

    def _touch_bases(self, built: Mapping[str, datetime]) -> None:
        """A build on top is a use of every image whose complete layers it begins with."""
        for image_id, at in built.items():
            for base in layers.bases_of(image_id, self.sight.images):
                self.sight.book.touch(base, at, f"build of {image_id[7:19]}", self._clock.now())


def _in_order(events: Iterable[EngineEvent], since_ns: int) -> list[EngineEvent]:
    """Each event once, oldest first."""
    once = {event.key: event for event in events if event.time_ns >= since_ns}
    return sorted(once.values(), key=lambda event: event.time_ns)
