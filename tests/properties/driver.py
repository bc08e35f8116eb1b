"""The agent without its loops: what `agent.intake` and `agent.sweeper` do, in the same order, on a World.

Everything is the core's but the order of the steps. `Disk` is what a new process finds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from agent.core import timekeeping
from agent.core.images import layers
from agent.core.model import Container, Image, Snapshot, Usage, Verdict
from agent.core.policy import planning
from agent.core.policy.decide import Context
from agent.core.policy.decision import Decision, Plan
from agent.core.pytorch import classify
from agent.core.timekeeping import ClockMonitor, ClockReading, MachineOff
from agent.core.usage import continuity
from agent.core.usage.continuity import Cursor, nanoseconds
from agent.core.usage.events import COMMIT, EngineEvent, Key
from agent.core.usage.tracker import TrackedContainer, UsageTracker
from tests.properties.oracle import POLICY
from tests.properties.world import ModelHost

OVERLAP_NS = 2 * 10**9
TOLERANCE = timedelta()  # of a gap: none, so that the oracle can be strict


class DiskFull(Exception):
    """The state cannot be written."""


@dataclass
class Disk:
    """The state folder."""

    usages: dict[str, Usage] = field(default_factory=dict)
    held: dict[str, TrackedContainer] = field(default_factory=dict)
    history: dict[str, str] = field(default_factory=dict)  # container -> the image that it used
    cursor: Cursor = field(default_factory=Cursor)
    gap_end: datetime | None = None
    absences: tuple[MachineOff, ...] = ()
    reading: ClockReading | None = None  # of the clocks, at the end of the last watch
    full: bool = False


class ModelAgent:
    """One agent: processes come and go (`begin`, `kill`, `terminate`), the disk stays."""

    def __init__(self, world: ModelHost) -> None:
        self.world = world
        self.disk = Disk()
        self.running = False
        self.proven = False
        self._forget()

    def _forget(self) -> None:
        self.tracker = UsageTracker()
        self.cursor = Cursor()
        self.images: tuple[Image, ...] = ()
        self.verdicts: Mapping[str, Verdict] = {}
        self.boxes: Mapping[str, Container] = {}
        self.clock = ClockMonitor(last=self.world.reading)
        self.seen: set[Key] = set()
        self.built: dict[str, datetime] = {}
        self.came: set[str] = set()
        self.saw_the_end = False  # the engine ended under the eyes of this process, and it has met none since
        self.removing: frozenset[str] = frozenset()

    # Processes

    def begin(self) -> None:
        """A new process: it looks at the clocks first."""
        self._forget()
        self.running = True
        before, now = self.disk.reading, self.world.reading
        if before is not None:
            self.clock = ClockMonitor(last=before)
            away = timekeeping.machine_off(before, now)
            self.disk.absences += (away,) if away is not None else ()
        self.look()
        self.connect()

    def kill(self) -> None:
        self.running = False
        self.lose_the_stream()

    def terminate(self) -> None:
        """SIGTERM: what was told is taken in, and the end of the watch is noted."""
        if self.proven and self._last_words():
            self.disk.cursor = replace(self.disk.cursor, alive_at=self.world.wall)
        self.kill()

    # Clocks

    @property
    def remembers_this_boot(self) -> bool:
        """Whether a clock that is set now will be seen to have been."""
        return self.disk.reading is not None and self.disk.reading.boot == self.world.boot.id

    def look(self) -> None:
        """Read the clocks. Nothing counts as idle from before a jump."""
        self.clock, moved = self.clock.check(self.world.reading)
        self.disk.reading = self.world.reading
        if moved is not None:
            self._record_gap(self.world.wall)
        if moved is not None and moved < timedelta():
            self.cursor, self.disk.cursor = self._rewound(self.cursor), self._rewound(self.disk.cursor)

    def _rewound(self, cursor: Cursor) -> Cursor:
        """After a step back nothing that was read lies in the future."""
        if cursor.alive_at is None:
            return cursor
        wall = self.world.wall
        return replace(cursor, time_ns=min(cursor.time_ns, nanoseconds(wall)), key=None, alive_at=wall)

    # The stream

    def connect(self) -> None:
        if not (self.running and self.world.up):
            return
        ended, self.saw_the_end = self.saw_the_end, False
        if self.disk.full:
            return
        self.tracker = UsageTracker(self.disk.usages.values(), self.disk.held.values())
        self.cursor = replace(self.disk.cursor, engine_ended=self.disk.cursor.engine_ended and ended)
        since = self._resume_ns()
        self.world.listen(since)
        self._catch_up(since)

    def _resume_ns(self) -> int:
        return (self.cursor.time_ns or nanoseconds(self.cursor.alive_at or self.world.wall)) - OVERLAP_NS

    def _catch_up(self, since_ns: int) -> None:
        listing = self._list()
        ring = self.world.read_ring()
        told = _in_order([*_since(self.world.ring_rows(), since_ns, self.cursor.key), *self._take()])
        self._apply_all(told)
        self._reconcile(listing, first=self.cursor.alive_at is None)
        blind = continuity.blind_time(self.cursor, ring, self.world.boot)
        if blind is not None and blind.length > TOLERANCE:
            self._record_gap(blind.until)
        self._commit(told)
        self.proven = True

    def lose_the_stream(self) -> None:
        """It ends, and what was told and not yet taken in is lost."""
        self.world.stream = None
        self.proven = False

    def end_the_stream(self, *, engine_ended: bool) -> None:
        """It ends, and what was told before is taken in."""
        if self.proven and self._last_words():
            self.disk.cursor = replace(self.disk.cursor, alive_at=self.world.wall, engine_ended=engine_ended)
            self.saw_the_end = engine_ended
        self.lose_the_stream()

    def _last_words(self) -> bool:
        try:
            self.take_in()
        except DiskFull:
            return False
        return True

    def take_in(self) -> None:
        told = [event for event in self._take() if event.key not in self.seen]
        self._apply_all(told)
        self._commit(told)

    def _take(self) -> list[EngineEvent]:
        taken, self.world.stream = self.world.stream or [], []
        return taken

    # Events

    def _apply_all(self, told: list[EngineEvent]) -> None:
        for at, event in enumerate(told):
            if event.action == "pull" and any(_names(later, event.actor) for later in told[at + 1 :]):
                self._record_gap(min(event.at, self.world.wall))  # what it was then, nobody can say any more
            else:
                self._apply(event)

    def _apply(self, event: EngineEvent) -> None:
        if event.kind == "container":
            if event.action != COMMIT:
                self._apply_container(event)
        else:
            self._apply_image(event)

    def _apply_container(self, event: EngineEvent) -> None:
        image_id = self._image_of(event)
        if image_id is not None:
            held, mounted = self.tracker.containers.get(event.actor), self._mounted(event)
            if mounted is None and (held is None or held.mounted is None):
                self.world.oracle.lose_mounts(event.actor)
            self.tracker.apply_container(event, image_id, self.world.wall, mounted=mounted)
        else:
            self._record_gap(min(event.at, self.world.wall))

    def _image_of(self, event: EngineEvent) -> str | None:
        held, box = self.tracker.containers.get(event.actor), self.world.boxes.get(event.actor)
        if held is not None:
            return held.image_id
        if box is not None:
            return box.image_id
        return self.disk.history.get(event.actor) or self.tracker.names.resolve(event.image)

    def _mounted(self, event: EngineEvent) -> tuple[str, ...] | None:
        """By what the names mean as of the event that made the container; else not known, until a listing."""
        box = self.world.boxes.get(event.actor)
        if box is None or (box.mounts and event.action != "create"):
            return None
        meant = [self.tracker.names.resolve(name) for name in box.mounts]
        known = tuple(image_id for image_id in meant if image_id is not None)
        return known if len(known) == len(meant) else None

    def _apply_image(self, event: EngineEvent) -> None:
        tracker, now, own = self.tracker, self.world.wall, event.actor in self.removing
        if event.action == "tag":
            tracker.apply_tag(event.actor, event.name, event.at, now, own=own)
        elif event.action == "delete":
            tracker.apply_delete(event.actor)
        elif event.action == "pull":
            self._apply_pull(event)
        elif event.action == "load":
            tracker.apply_arrival(event.actor, event.at, now)
            self.came.add(event.actor)
        if event.action == "tag" and not own:
            self.built[event.actor] = event.at
            self._touch_bases_at_once(event)

    def _touch_bases_at_once(self, event: EngineEvent) -> None:
        """What it was built on counts as used before the next listing: this process may have ended by then."""
        made = self.world.images.get(event.actor)
        if made is None or event.actor in self.came:
            return
        others = (image for image in self.images if image.id != made.id)
        for base in layers.base_images(made.id, (*others, made)):
            self.tracker.touch(base, event.at, "build", self.world.wall)

    def _apply_pull(self, event: EngineEvent) -> None:
        """A pull tells the reference only. One told before may have named another image then."""
        image_id, now = self.world.find(event.actor), self.world.wall
        if image_id is None:
            return
        new = event.time_ns > self.cursor.time_ns and event.key not in self.seen  # the clock may have been set back
        if new and not self.world.images[image_id].digests:  # a build has taken the name without an event
            self._record_gap(min(event.at, now))
            return
        if new:
            self.came.add(image_id)
        elif image_id not in self.tracker.usages:
            self.built[image_id] = now
        self.tracker.apply_pull(image_id, event.actor, event.at, now)

    # Listings

    def refresh(self) -> None:
        self.take_in()
        listing = self._list()
        self._reconcile(listing, first=False)
        self._write(self.cursor)

    def _list(self) -> Snapshot:
        return Snapshot(at=self.world.wall, images=self.world.list_images(), containers=self.world.containers())

    def _reconcile(self, listing: Snapshot, *, first: bool) -> None:
        now = self.world.wall
        alive = self.cursor.alive_at or now
        new = self.tracker.reconcile(listing, now, alive_until=alive, busy=self.removing)
        if listing.images != self.images:
            self.images, self.verdicts = listing.images, classify.classify(listing.images)
        self.boxes = {container.id: container for container in listing.containers}
        if not first:
            self._touch_bases({**dict.fromkeys(new, now), **self.built})
        self.built, self.came = {}, set()

    def _touch_bases(self, built: Mapping[str, datetime]) -> None:
        for image_id, at in built.items():
            for base in layers.base_images(image_id, self.images) if image_id not in self.came else ():
                self.tracker.touch(base, at, "build", self.world.wall)

    # The disk

    def _commit(self, told: list[EngineEvent]) -> None:
        latest = max(told, key=lambda event: event.time_ns, default=None)
        boot = self.world.boot.id
        self.cursor = replace(self.cursor, alive_at=self.world.wall, engine_ended=False, boot=boot)
        if latest is not None and latest.time_ns >= self.cursor.time_ns:
            self.cursor = replace(self.cursor, time_ns=latest.time_ns, key=latest.key)
        self.seen.update(event.key for event in told)
        self._write(self.cursor)

    def _write(self, cursor: Cursor | None) -> None:
        changes = self.tracker.drain_changes()
        if self.disk.full:
            self.tracker.requeue_changes(changes)
            raise DiskFull
        self.disk.usages |= {usage.image_id: usage for usage in changes.usages}
        self.disk.held |= {held.id: held for held in changes.containers}
        self.disk.history |= {use.container_id: use.image_id for use in changes.uses}
        for gone in changes.removed:
            self.disk.held.pop(gone, None)
        self.disk.cursor = cursor or self.disk.cursor

    def _record_gap(self, until: datetime) -> None:
        if self.disk.full:
            raise DiskFull
        self.disk.gap_end = max(self.disk.gap_end or until, until)

    # Sweeps

    def plan(self) -> Plan:
        now = self.world.wall
        context = Context(
            overrides=self.world.holds,
            proven=self.proven,
            clock_trusted=self.clock.trusted,
            gap_end=self.disk.gap_end,
            machine_off=self.disk.absences,
        )
        return planning.plan(self._snapshot(now), self.verdicts, self.tracker.usages, POLICY, now, context)

    def _snapshot(self, now: datetime) -> Snapshot:
        held = tuple(self._container(item) for item in self.tracker.containers.values())
        usages = self.tracker.usages
        images = tuple(image for image in self.images if image.id not in usages or usages[image.id].present)
        return Snapshot(at=now, images=images, containers=held)

    def _container(self, held: TrackedContainer) -> Container:
        listed = self.boxes.get(held.id)
        named = listed.image_mounts if listed is not None else ()
        mounts = held.mounted if held.mounted is not None else named
        return Container(id=held.id, image_id=held.image_id, name=held.name, state=held.state, image_mounts=mounts)

    def observe(self) -> Plan:
        """A plan, and a note of what it found protected."""
        plan = self.plan()
        for decision in plan.decisions:
            self.tracker.protect(decision.image.id, decision.protected, self.world.wall)
        self._write(None)
        return plan

    def sweep(self, evict: Callable[[Decision], bool], between: Callable[[], None] = lambda: None) -> Plan:
        """`evict` is asked to remove, and says whether it did; `between` comes before each recheck."""
        first = self.observe()
        for planned in first.evictions:
            between()
            self.refresh()
            fresh = self.plan()
            if planning.passes_recheck(planned, fresh):
                self._remove(planned, evict)
        return first

    def _remove(self, planned: Decision, evict: Callable[[Decision], bool]) -> None:
        self.removing = frozenset([planned.image.id])
        removed = evict(planned)
        self.take_in()
        self.removing = frozenset()
        if removed:
            self.tracker.apply_delete(planned.image.id)


def _names(event: EngineEvent, reference: str) -> bool:
    """Whether an event points a reference at an image."""
    told = {"tag": event.name, "pull": event.actor}
    return event.kind == "image" and told.get(event.action) == reference


def _since(events: list[EngineEvent], since_ns: int, key: Key | None) -> list[EngineEvent]:
    """From a time on, and those that follow the last one that was taken in: the clock may have been set back."""
    keys = [event.key for event in events]
    after = keys.index(key) if key in keys else len(keys)
    return [event for number, event in enumerate(events) if number > after or event.time_ns >= since_ns]


def _in_order(events: Iterable[EngineEvent]) -> list[EngineEvent]:
    once = {event.key: event for event in events}
    return sorted(once.values(), key=lambda event: event.time_ns)
