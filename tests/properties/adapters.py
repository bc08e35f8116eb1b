"""What a ModelAgent has instead of an engine, a disk and a clock. Every answer is there at once: nothing ever waits."""

from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from agent.adapters.engine import EngineInfo, MadeFrom, NotFound, PulledTarget, RingSnapshot
from agent.adapters.sqlite.usage_tables import StoredEngine
from agent.adapters.state_errors import StateFull
from agent.core.model import Container, Details, Image, Usage, Verdict
from agent.core.pytorch import classify
from agent.core.timekeeping import ClockReading, MachineOff
from agent.core.usage.arrivals import Layers
from agent.core.usage.continuity import BlindPeriod, Cursor
from agent.core.usage.events import COMMIT, EngineEvent
from agent.core.usage.fold import Resolved
from agent.core.usage.tracker import Changes, TrackedContainer
from agent.tracking.engine_view import EngineView
from agent.tracking.resolver import EventResolver
from tests.properties.oracle import repository
from tests.properties.world import ModelHost

T = TypeVar("T")
INFO = EngineInfo(
    id="engine", name="host", version="29", api_version="1.50", driver="overlay2", containerd_store=False,
    root="/var/lib/docker", direct=True,
)  # fmt: skip
SURELY, NEVER = datetime.fromtimestamp(0, UTC), datetime.max.replace(tzinfo=UTC)  # since when a reference was pulled


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that has nothing to wait for, without an event loop."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("the agent waits for something")


@dataclass
class Disk:
    """The state folder: all that the next process finds. Satisfies what is used of `Store` and of `EngineStore`."""

    usages: dict[str, Usage] = field(default_factory=dict)
    containers: dict[str, TrackedContainer] = field(default_factory=dict)
    history: dict[str, str] = field(default_factory=dict)  # container -> the image that it used
    cursor: Cursor = field(default_factory=Cursor)
    gap_end: datetime | None = None
    absences: tuple[MachineOff, ...] = ()
    full: bool = False

    async def engine(self, info: EngineInfo) -> "Disk":
        return self

    async def load(self) -> StoredEngine:
        usages, containers = tuple(self.usages.values()), tuple(self.containers.values())
        return StoredEngine(usages, containers, self.cursor, self.gap_end, self.absences)

    async def commit(self, changes: Changes, cursor: Cursor | None) -> None:
        self._require_space()
        self.usages |= {usage.image_id: usage for usage in changes.usages}
        self.containers |= {container.id: container for container in changes.containers}
        self.history |= {use.container_id: use.image_id for use in changes.uses}
        for gone in changes.removed:
            self.containers.pop(gone, None)
        if cursor is not None and cursor.time_ns >= self.cursor.time_ns:
            self.cursor = replace(cursor, engine_ended=False)

    async def rewind(self, cursor: Cursor) -> None:
        self._require_space()
        self.cursor = replace(cursor, engine_ended=False)

    async def record_heartbeat(self, cursor: Cursor) -> None:
        self._require_space()
        before = self.cursor
        if before.alive_at is None or (cursor.alive_at is not None and cursor.alive_at >= before.alive_at):
            self.cursor = replace(cursor, time_ns=before.time_ns, key=before.key)

    async def record_gap(self, blind: BlindPeriod, event: object) -> None:
        self._require_space()
        self.gap_end = max(self.gap_end or blind.until, blind.until)

    async def record_machine_off(self, off: MachineOff) -> None:
        self._require_space()
        self.absences = (*self.absences, off)

    async def find_image(self, container_id: str) -> str | None:
        return self.history.get(container_id)

    def _require_space(self) -> None:
        if self.full:
            raise StateFull("the disk is full")


@dataclass(frozen=True)
class ModelClock:
    """The clocks of a ModelHost."""

    world: ModelHost

    def now(self) -> datetime:
        return self.world.wall

    def monotonic(self) -> float:
        return self.world.reading.steady

    def reading(self) -> ClockReading:
        return self.world.reading

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"the agent sleeps for {seconds} s")


@dataclass(frozen=True)
class ModelEngine:
    """What an agent asks of the engine of a ModelHost."""

    world: ModelHost

    async def ring(self) -> RingSnapshot:
        oldest_ns = min((row.time_ns for row in self.world.ring), default=0)
        return RingSnapshot(tuple(self.world.ring_rows()), len(self.world.ring), oldest_ns)

    async def containers(self, known: Mapping[str, Container]) -> list[Container]:
        return list(self.world.containers())

    async def images(self, known: Mapping[str, Details]) -> list[Image]:
        return list(self.world.list_images())

    async def made_from(self, container_id: str) -> MadeFrom:
        box = self.world.boxes.get(container_id)
        if box is None:
            raise NotFound(404, container_id)
        return MadeFrom(box.image_id, box.mounts)

    async def image_id(self, reference: str) -> str:
        return self._find(reference).id

    async def pulled_target(self, reference: str) -> PulledTarget:
        """On a graph driver a pulled image has a digest of the repository; a build that took its name has none."""
        image = self._find(reference)
        pulled = repository(reference) in {*map(repository, image.digests)}
        return PulledTarget(image.id, SURELY if pulled else NEVER)

    async def layers(self, image_id: str) -> Layers:
        details = self._find(image_id).details
        return details.layers if details is not None else ()

    def _find(self, reference: str) -> Image:
        image = self.world.images.get(self.world.find(reference) or reference)
        if image is None:
            raise NotFound(404, reference)
        return image


class ModelView(EngineView):
    """Recognises images at once, in no other thread."""

    async def recognise(self, images: tuple[Image, ...]) -> Mapping[str, Verdict]:
        if images != self._recognised[0]:
            self._recognised = images, classify.classify(images)
        return self._recognised[1]


class ModelResolver(EventResolver):
    """Lets the oracle know of the only uses that nobody can know: of images mounted in a container that is gone."""

    def __init__(self, world: ModelHost, view: EngineView) -> None:
        super().__init__(ModelEngine(world), view.fold, view.image_of)
        self._world = world

    async def resolve(self, event: EngineEvent, known: Iterable[EngineEvent]) -> Resolved:
        resolved = await super().resolve(event, known)
        tracked = self._fold.tracker.containers.get(event.actor)
        unknown = resolved.mounted is None and (tracked is None or tracked.mounted is None)
        if event.kind == "container" and event.action != COMMIT and resolved.image_id is not None and unknown:
            self._world.oracle.lose_mounts(event.actor)
        return resolved
