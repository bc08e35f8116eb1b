"""What the engine's events mean: which image was used or came. And what can no longer be told, which is a gap."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from agent.adapters.clock import Clock
from agent.adapters.engine import Engine, EngineError, EngineUnavailable, NotFound
from agent.core.images.references import familiar
from agent.core.model import Container
from agent.core.usage import attribution, look_inside
from agent.core.usage.attribution import IgnoredContainers, Run
from agent.core.usage.continuity import BlindPeriod
from agent.core.usage.events import COMMIT, EngineEvent, Key
from agent.tracking.arrivals import ImageArrivals
from agent.tracking.engine_view import EngineView, Listing
from agent.tracking.gaps import GapDetector

REMEMBERED = 4096  # keys of events taken in, to know a replay by


class EventInterpreter:
    """Applies events and listings to the EngineView's book."""

    def __init__(
        self,
        engine: Engine,
        view: EngineView,
        clock: Clock,
        gaps: GapDetector,
        arrivals: ImageArrivals,
        ignored: IgnoredContainers,
    ) -> None:
        """`ignored`: containers whose runs are not uses."""
        self.relist_due = asyncio.Event()  # a listing is due: an event told of images
        self._engine = engine
        self._view = view
        self._clock = clock
        self._gaps = gaps
        self._ignored = ignored
        self._arrivals = arrivals
        self._seen: dict[Key, None] = {}  # taken in, and on disk
        self._applied: dict[Key, None] = {}  # in the book, and not yet on disk
        self._old_ns = 0  # what is as old as this was taken in over an earlier connection
        self._looks_over: dict[str, None] = {}  # containers of looks inside images that were removed
        self._missed: BlindPeriod | None = None  # from the first to the last that cannot be told, until it is recorded
        self._by_name: dict[str, EngineEvent] = {}  # the last use of each name that only the name told, until listed

    def begin(self, old_ns: int) -> None:
        """A connection begins, with a book from the disk. What was told up to a time was taken in before."""
        self._old_ns = old_ns
        self._applied.clear()

    def step_back(self, old_ns: int) -> None:
        """The clock was set back: what is told from now on is new."""
        self._old_ns = min(self._old_ns, old_ns)

    @property
    def bases_resolved(self) -> bool:
        """False while the use of what a build was based on waits for the first listing: then no cursor may pass it."""
        return not self._arrivals.unsettled

    def deduplicate(self, events: Iterable[EngineEvent]) -> list[EngineEvent]:
        return [event for event in events if event.key not in self._seen and event.key not in self._applied]

    def mark_applied(self, events: Iterable[EngineEvent]) -> None:
        """They are in the book, whether it can be written now or not."""
        self._applied.update({event.key: None for event in events})

    def mark_committed(self) -> None:
        self._seen.update(self._applied)
        self._applied.clear()
        for key in list(self._seen)[: max(0, len(self._seen) - REMEMBERED)]:
            del self._seen[key]

    async def flush_missed(self) -> None:
        """To be done before a cursor passes it. At the very start every image is first seen later than that."""
        if self._missed is not None and self._view.watched:
            await self._gaps.record(self._missed)
        self._missed = None

    def _miss(self, at: datetime, what: str) -> None:
        """Something that may have been a use, of nobody knows what: no image counts as idle from before it."""
        at = min(at, self._clock.now())
        known = self._missed or BlindPeriod(at, at, what)
        self._missed = BlindPeriod(
            min(at, known.since), max(at, known.until), what if at >= known.until else known.cause
        )

    # Events

    async def apply(
        self, events: list[EngineEvent], waiting: Iterable[EngineEvent] = (), *, again: bool = False
    ) -> None:
        """Apply events in their order. `waiting`: what came since, which may say what became of their names.

        `again`: they were applied before, and are newer than the listing since.
        """
        after = (*events, *waiting)
        for event in events:
            if event.action == COMMIT:
                self.relist_due.set()
            elif event.kind == "container":
                await self._apply_container(event)
            else:
                await self._apply_image(event, after, again=again)

    def _is_old(self, event: EngineEvent) -> bool:
        """Whether it was taken in before, and is told again. What a process itself took in, it knows by its key."""
        return event.key in self._seen or (not self._seen and event.time_ns <= self._old_ns)

    async def _apply_container(self, event: EngineEvent) -> None:
        image_id, mounted = await self._images_of(event)
        if image_id is None:
            if not self._is_old(event):
                self._miss(event.at, f"a use of {event.image!r} could not be matched to an image")
            return
        if image_id not in self._view.tracker.usages:  # it came without an event, by a build perhaps
            self.relist_due.set()
        run = Run(name=event.name, image=event.image, image_id=image_id, labels=event.labels)
        pattern, now = self._ignored.pattern_for(run), self._clock.now()
        if pattern and not self._is_old(event):
            self._view.tracker.count_ignored(event, image_id, pattern, now)
        ignored = bool(pattern) or self._is_look(event)
        self._view.tracker.apply_container(event, image_id, now, ignored=ignored, mounted=mounted)

    def _is_look(self, event: EngineEvent) -> bool:
        """Whether it makes or removes the container of a look inside an image, which never ran.

        The end of one that is told again comes after the container was let go: it counts as it did before.
        """
        held = self._view.tracker.containers.get(event.actor)
        told_again = held is None and (event.actor in self._looks_over or self._is_old(event))
        state = look_inside.NEVER_STARTED if told_again else held.state if held is not None else None
        looked = look_inside.is_exempt(event.action, event.name, event.labels, state)
        if looked and event.action == "destroy":
            self._looks_over[event.actor] = None
            for old in list(self._looks_over)[:-REMEMBERED]:
                del self._looks_over[old]
        return looked

    async def _images_of(self, event: EngineEvent) -> tuple[str | None, tuple[str, ...] | None]:
        """The image of a container event: what is known of the container, the engine's word, the name as of then.

        And the images mounted in the container, None where they are not known. A container that is gone may have been
        told of before, and then its name may mean another image by now.
        """
        held = self._view.tracker.containers.get(event.actor)
        if held is not None:
            return held.image_id, held.mounted
        try:
            made = await self._engine.made_from(event.actor)
            return made.image_id, await self._mounted(event, made.mounts)
        except NotFound:
            told_before = await self._view.engine_store.find_image(event.actor)
        if told_before is None:
            self._by_name[event.image] = event
        return told_before or self._view.tracker.names.resolve(event.image), None

    async def _mounted(self, event: EngineEvent, names: Iterable[str] | None) -> tuple[str, ...] | None:
        """The images that a container mounted by name when it was made; None where nobody can say, until a listing.

        What a name means now counts, too: an import may have given it to another image without an event.
        """
        found: set[str] = set()
        if names is None:
            return None
        for name in names:
            meant = self._view.tracker.names.resolve(name) if event.action == "create" else None
            if meant is None:
                self.relist_due.set()
                return None
            found.update(filter(None, (meant, await self._means_now(name))))
        return tuple(sorted(found))

    async def _means_now(self, name: str) -> str | None:
        try:
            return await self._engine.image_id(name)
        except EngineUnavailable:
            raise
        except EngineError:
            return None

    async def _apply_image(self, event: EngineEvent, after: Iterable[EngineEvent], *, again: bool) -> None:
        tracker, now, own = self._view.tracker, self._clock.now(), self._view.own.caused(event)
        if event.action == "tag":
            tracker.apply_tag(event.actor, event.name, event.at, now, own=own)
        elif event.action == "untag" and event.name != event.actor:
            if again or not self._is_old(event):  # the names on disk are newer, and an import may name without a tag
                tracker.names.remove(event.name)
        elif event.action == "delete":
            self._apply_delete(event)
        elif event.action == "pull":
            await self._apply_pull(event, after)
        elif event.action in ("load", "import", "create"):
            tracker.apply_arrival(event.actor, event.at, now)
        if event.action in ("load", "import"):
            self._arrivals.mark_imported(event.actor)
        if not own:
            self.relist_due.set()
        new = self._view.watched and not self._is_old(event)  # at the very start no build tells of a use
        if new and not own and event.action in ("tag", "create"):
            await self._arrivals.build(event)

    def _apply_delete(self, event: EngineEvent) -> None:
        if event.actor not in self._view.tracker.usages and not self._is_old(event):
            self._miss(event.at, "an image came and went unseen: what it was built on is not known")
        self._view.tracker.apply_delete(event.actor)

    async def _apply_pull(self, event: EngineEvent, after: Iterable[EngineEvent]) -> None:
        """A pull tells the reference only. One told again says nothing new, and the reference may have moved since."""
        if self._is_old(event) and not self._arrivals.has_resolved(event):
            return
        image_id = await self._arrivals.pulled(event, after)
        if image_id is None:
            self._view.tracker.names.remove(familiar(event.actor))
            if not self._is_old(event):
                self._miss(event.at, f"a pull of {event.actor!r} could not be matched to an image")
            return
        self._view.tracker.apply_pull(image_id, event.actor, event.at, self._clock.now())
        self._arrivals.mark_imported(image_id)

    # Listings

    def read(self, container: Container) -> Container:
        """A listed container with whose it is, and whether its runs count."""
        labels = container.labels
        run = Run(name=container.name, image=container.image, image_id=container.image_id, labels=labels)
        looked = container.state == look_inside.NEVER_STARTED and look_inside.is_look(container.name, labels)
        ignored = looked or bool(self._ignored.pattern_for(run))
        return replace(container, by=attribution.describe_container(container.name, labels), ignored=ignored)

    def reconcile(self, listing: Listing, *, alive_until: datetime | None, first: bool) -> None:
        """Take a listing as the truth."""
        tracker, view, now = self._view.tracker, self._view, self._clock.now()
        meant = {name: tracker.names.resolve(name) for name in self._by_name}
        new = tracker.reconcile(listing, now, alive_until=alive_until or now, busy=view.own.in_progress)
        view.show(listing)
        for at in self._arrivals.finish_listing(new, first=first):
            self._miss(at, "an image came and went unseen: what it was built on is not known")
        for name, event in self._by_name.items():
            self._touch_current_target(name, event, meant[name])
        self._by_name.clear()

    def _touch_current_target(self, name: str, event: EngineEvent, meant: str | None) -> None:
        """A name that no event moved, and that means another image now: at the time of the use it may have meant it."""
        now_means = self._view.tracker.names.resolve(name)
        if now_means is None or meant is None or now_means == meant:
            return
        other = self._view.tracker.usages.get(now_means)
        came_later = other is not None and other.first_seen > event.at and (other.arrived or event.at) > event.at
        if not came_later:
            self._view.tracker.touch(now_means, event.at, event.name, self._clock.now())

    async def reapply_after_listing(self, events: list[EngineEvent], listed: datetime) -> None:
        """What happened while the listing was made is newer than it, and applied once more on top of it."""
        await self.apply([event for event in events if event.at >= listed], again=True)
        self._arrivals.forget_pulls()
