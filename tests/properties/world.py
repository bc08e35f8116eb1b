"""A machine with a Docker Engine on a graph driver: images, containers, the ring of 256 events, boots, a wall clock.

Everything happens at a true time that the agent never sees; it sees the wall clock, which can be set.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from agent.core.model import RUNNING, Container, Image
from agent.core.policy.overrides import Overrides, Pin
from agent.core.timekeeping import ClockReading
from agent.core.usage.continuity import RING_SIZE, Boot, EventRing, make_ring
from agent.core.usage.events import EngineEvent
from tests.properties.oracle import Oracle, repository
from tests.support import builders
from tests.support.builders import NOW

MOMENT = timedelta(milliseconds=1)  # between two events
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

REGISTRY: dict[str, dict[str, object]] = {  # what can be pulled
    "torch-a": {"env": {"PYTORCH_VERSION": "2.9.0"}},
    "torch-b": {"env": {"PYTORCH_VERSION": "2.8.0"}},
    "slow": {"env": {"PYTORCH_VERSION": "2.7.0"}, "labels": {"torchkeeper.ttl": "30d"}},
    "hasty": {"env": {"PYTORCH_VERSION": "2.6.0"}, "labels": {"torchkeeper.ttl": "1d"}},
    "kept": {"env": {"PYTORCH_VERSION": "2.5.0"}, "labels": {"torchkeeper.keep": "true"}},
    "plain": {},
}


@dataclass(frozen=True, slots=True)
class ModelContainer:
    """A container as the engine has it. `image` and `mounts` are what the client wrote."""

    id: str
    image_id: str
    image: str
    state: str
    last_active: datetime  # by the wall clock
    mounts: tuple[str, ...] = ()
    mounted: tuple[str, ...] = ()  # the images that these were when it was made


class ModelHost:
    """What people and machines do. Each act raises the events that a real engine raises, and tells the oracle."""

    def __init__(self) -> None:
        self.oracle = Oracle()
        self.now = NOW  # the true time
        self.offset = timedelta()  # how wrong the wall clock is
        self.images: dict[str, Image] = {}
        self.boxes: dict[str, ModelContainer] = {}
        self.pins: list[Pin] = []
        self.up = True
        self.on = True
        self.boots = [Boot(id="boot-0", at=NOW)]
        self.ring: deque[EngineEvent] = deque(maxlen=RING_SIZE)
        self.stream: list[EngineEvent] | None = None  # what the agent has not read yet; None: nobody listens
        self._booted = NOW - timedelta(hours=1)
        self._made = 0

    # Clocks

    @property
    def wall(self) -> datetime:
        return self.now + self.offset

    @property
    def boot(self) -> Boot:
        return self.boots[-1]

    @property
    def reading(self) -> ClockReading:
        return ClockReading(wall=self.wall, steady=(self.now - self._booted).total_seconds(), boot=self.boot.id)

    def tick(self, by: timedelta) -> None:
        self.now += by

    def set_clock(self, by: timedelta) -> None:
        self.offset += by

    # What the agent asks

    @property
    def holds(self) -> Overrides:
        return Overrides(pins=tuple(self.pins))

    def containers(self) -> tuple[Container, ...]:
        return tuple(
            Container(id=box.id, image_id=box.image_id, name=box.id, state=box.state, last_active=box.last_active,
                      image_mounts=box.mounts)
            for box in self.boxes.values()
        )  # fmt: skip

    def list_images(self) -> tuple[Image, ...]:
        self.oracle.listed()
        return tuple(self.images.values())

    def read_ring(self) -> EventRing:
        rows = [row for row in self.ring if row.kind in ("container", "image")]
        return make_ring(rows, len(self.ring), min((row.time_ns for row in self.ring), default=0), self.wall)

    def ring_rows(self) -> list[EngineEvent]:
        return [row for row in self.ring if row.kind in ("container", "image")]

    def listen(self, since_ns: int) -> None:
        self.stream = [row for row in self.ring_rows() if row.time_ns >= since_ns]

    def find(self, reference: str) -> str | None:
        return next((image.id for image in self.images.values() if reference in image.references), None)

    # Images

    def pull(self, name: str, tag: str) -> str:
        """An image of the registry under a name; whoever has the name loses it."""
        self.now += MOMENT
        made = builders.pulled_image(name, digests=(), **REGISTRY[name])
        had = self.images.setdefault(made.id, replace(made, references=()))
        digest = f"{repository(tag)}@sha256:{name}"
        self.images[made.id] = replace(had, digests=tuple(sorted({*had.digests, digest})))
        self._name(made.id, tag)
        self.oracle.arrived(made.id, self.now)
        self._emit("image", "pull", tag)
        return made.id

    def load(self, name: str) -> None:
        """An image from a file, without a name; nothing shows a registry that it came from."""
        self.now += MOMENT
        made = builders.pulled_image(f"file-{name}", digests=(), **REGISTRY[name])
        self.images.setdefault(made.id, replace(made, references=(), origin=None))
        self.oracle.arrived(made.id, self.now)
        self._emit("image", "load", made.id)

    def tag(self, image_id: str, tag: str) -> None:
        self.now += MOMENT
        self._name(image_id, tag)
        self.oracle.arrived(image_id, self.now)
        self._emit("image", "tag", image_id, name=tag)
        self.oracle.built(image_id, self.now)  # a build's last event, or a new name: they cannot be told apart

    def untag(self, tag: str) -> None:
        """`docker rmi` of one of an image's several names: on a graph driver no event tells which.

        The last tag of a repository takes the digest references of that repository along.
        """
        self.now += MOMENT
        image = self.images[self.find(tag) or ""]
        left = {*image.references} - {tag}
        gone = {repository(tag)} - {*map(repository, left)}
        digests = tuple(digest for digest in image.digests if repository(digest) not in gone)
        if left or digests:
            self.images[image.id] = replace(image, digests=digests)
            self._rename(image.id, left)
            self._emit("image", "untag", image.id, name=image.id)

    def build_classic(self, base_id: str, tag: str) -> str:
        """A container from the base for each step, then a name; the result has a parent."""
        box = self.create(base_id, base_id)
        self.start(box)
        self.destroy(box)
        made = self._build(base_id, parent=base_id)
        self.oracle.built(made, self.now)
        if tag:
            self.tag(made, tag)
        return made

    def build_buildkit(self, base_id: str, tag: str, *, silent: bool) -> str:
        """No container event; the name alone tells of it, or nothing does."""
        self.now += MOMENT
        made = self._build(base_id, parent="")
        if silent:
            self._name(made, tag)
            self.oracle.arrived(made, self.now)
            self.oracle.built(made, self.now)
        else:
            self.tag(made, tag)
        return made

    def commit(self, box_id: str, tag: str) -> str:
        """What a container wrote, as an image: its parent is the container's image."""
        self.now += MOMENT
        base_id = self.boxes[box_id].image_id
        made = self._build(base_id, parent=base_id, committed=True)
        self._emit("container", "commit", box_id, image=self.boxes[box_id].image, name=box_id)
        self.oracle.built(made, self.now)
        if tag:
            self.tag(made, tag)
        return made

    def remove_image(self, image_id: str) -> bool:
        """By its ID, without force. False where the engine refuses."""
        self.now += MOMENT
        parents = {image.details.parent for image in self.images.values() if image.details}
        if image_id in parents or any(image_id in self._images_of(box) for box in self.boxes.values()):
            return False
        image = self.images.pop(image_id)
        self.oracle.gone(image_id)
        for _ in image.references:
            self._emit("image", "untag", image_id, name=image_id)
        self._emit("image", "delete", image_id)
        return True

    def _build(self, base_id: str, *, parent: str, committed: bool = False) -> str:
        self._made += 1
        base = self.images[base_id]
        assert base.details is not None
        layers = dict.fromkeys((*base.details.layers, f"sha256:layer-{self._made}"), 100)
        made = builders.pulled_image(
            f"build-{self._made}",
            digests=(),
            layers=layers,
            env=base.details.env,
            labels=base.details.labels,
            parent=parent,
            committed=committed,
        )
        self.images[made.id] = replace(made, references=(), origin=None)
        self.oracle.lineage[made.id] = (base_id, *self.oracle.lineage.get(base_id, ()))
        self.oracle.arrived(made.id, self.now)
        return made.id

    def _name(self, image_id: str, tag: str) -> None:
        loser = self.find(tag)
        if loser not in (None, image_id):
            self._rename(loser or "", set(self.images[loser or ""].references) - {tag})
        if loser != image_id:
            self._rename(image_id, {*self.images[image_id].references, tag})

    def _rename(self, image_id: str, tags: Iterable[str]) -> None:
        self.images[image_id] = replace(self.images[image_id], references=tuple(sorted(tags)))
        self.oracle.renamed(image_id, self.now)

    # Containers

    def create(self, image_id: str, wrote: str, *, mount: str = "") -> str:
        """`mount`: an image to mount in it, by ID or by a name of that moment."""
        self._made += 1
        mounts = {mount: self.find(mount) or mount} if mount else {}
        box = ModelContainer(
            f"box-{self._made}", image_id, wrote, "created", self.wall, (*mounts,), (*mounts.values(),)
        )
        self.boxes[box.id] = box
        self._use(box.id, "create", "created")
        return box.id

    def start(self, box_id: str) -> None:
        self._use(box_id, "start", "running")

    def die(self, box_id: str) -> None:
        if self.boxes[box_id].state in RUNNING:
            self._use(box_id, "die", "exited")

    def destroy(self, box_id: str) -> None:
        self.die(box_id)
        self._use(box_id, "destroy", "removing")
        del self.boxes[box_id]

    def _use(self, box_id: str, action: str, state: str) -> None:
        self.now += MOMENT
        box = self.boxes[box_id] = replace(self.boxes[box_id], state=state, last_active=self.wall)
        self.oracle.used([box.image_id], self.now)
        self.oracle.used_by_mount(box.id, box.mounted, self.now)
        self._emit("container", action, box.id, image=box.image, name=box.id)

    def _images_of(self, box: ModelContainer) -> set[str]:
        return {box.image_id, *box.mounted}

    def running(self) -> set[str]:
        """The images that are used now, as a container's own or as a mount."""
        running = [self._images_of(box) for box in self.boxes.values() if box.state in RUNNING]
        return set().union(*running)

    def note_running(self) -> None:
        """What runs is used now."""
        self.oracle.used(self.running(), self.now)

    def held(self) -> set[str]:
        """The images that a container holds, in any state."""
        return set().union(*(self._images_of(box) for box in self.boxes.values()))

    # Events

    def noise(self, count: int) -> None:
        """Events that the agent does not read, but which fill the ring."""
        self.now += MOMENT
        for _ in range(count):
            self._emit("network", "connect", "bridge")

    def reverse_last(self, count: int) -> None:
        """The last events come in the wrong order, as they do from several writers within two seconds."""
        for rows in (self.ring, self.stream):
            if rows is not None:
                last = [rows.pop() for _ in range(min(count, len(rows)))]
                together = [row for row in last if last[0].time_ns - row.time_ns < 2 * 10**9]
                rows.extend([*reversed(last[len(together) :]), *together])

    def repeat(self, count: int) -> None:
        """The last events come once more."""
        if self.stream is not None:
            self.stream += self.ring_rows()[-count:]

    def _emit(self, kind: str, action: str, actor: str, *, image: str = "", name: str = "") -> None:
        time_ns = (self.wall - _EPOCH) // timedelta(microseconds=1) * 1000
        row = EngineEvent(time_ns, kind, action, actor, image, name)
        self.ring.append(row)
        if self.stream is not None and kind in ("container", "image"):
            self.stream.append(row)

    # The engine and the machine

    def stop_engine(self, *, killed: bool) -> None:
        """Orderly, it tells how its containers end; killed, nobody does until it is back."""
        running = [box for box in self.boxes.values() if box.state in RUNNING]
        for box in running:
            if not killed:
                self.die(box.id)
        self.up = False
        self.ring.clear()

    def start_engine(self) -> None:
        """What was running when it was killed is found dead, and its end is taken to be now."""
        self.up = True
        for box in list(self.boxes.values()):
            if box.state in RUNNING:
                self.boxes[box.id] = replace(box, state="exited", last_active=self.wall)
                self.oracle.used(self._images_of(box), self.now)

    def power_off(self) -> None:
        self.on = False
        self._off_since = self.now

    def power_on(self, *, recorded: bool) -> None:
        """A new boot. `recorded`: somebody wrote down when the machine was shut down."""
        self.on = True
        self.oracle.off.append((self._off_since, self.now))
        self._booted = self.now
        shutdown = self._off_since + self.offset if recorded else None
        self.boots.append(Boot(id=f"boot-{len(self.boots)}", at=self.wall, shutdown=shutdown))
