"""A Docker daemon in memory, with images, containers, the ring of 256 events, and Docker's rules of deletion.

The methods are what people do, and raise the same events as a real daemon. The agent's own calls come through
`FakeEngine`. `containerd` chooses the rules of deletion of the containerd store instead of a graph driver's.
"""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.adapters.docker import rows as engine_rows
from agent.adapters.engine import Conflict, NotFound, Removed
from agent.core.images.layers import chain_ids
from agent.core.images.references import familiar
from agent.core.model import RUNNING, Details, Image
from agent.core.policy import build_cache
from agent.core.policy.build_cache import CacheRecord
from agent.core.usage.events import EngineEvent
from tests.support import builders
from tests.support.fakes.clock import FakeClock

RING = 256  # events


@dataclass
class FakeImage:
    id: str
    tags: list[str]
    digests: list[str]
    details: Details
    size_bytes: int
    named: datetime  # when one of its names was last set
    folders: tuple[str, ...] = ()  # of its layers, topmost first
    files: dict[str, str] = field(default_factory=dict)  # path -> content

    @property
    def references(self) -> list[str]:
        return [*self.tags, *self.digests]


@dataclass
class FakeContainer:
    id: str
    image_id: str
    image: str  # as the client wrote it
    name: str
    created: datetime
    state: str = "created"
    finished: datetime | None = None
    image_mounts: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


class FakeDocker:
    """The state of one engine. Except for the ring, it survives restarts."""

    def __init__(self, clock: FakeClock, *, containerd: bool = False, engine_id: str = "engine-1") -> None:
        self.clock = clock
        self.containerd = containerd
        self.engine_id = engine_id
        self.observe_only = ""  # why nothing may be removed on this engine
        self.root = ""
        self._other_roots: dict[str, tuple[dict[str, FakeImage], dict[str, FakeContainer]]] = {}
        self.up = True
        self.images: dict[str, FakeImage] = {}
        self.containers: dict[str, FakeContainer] = {}
        self.build_cache: list[CacheRecord] = []
        self.ring: deque[dict[str, Any]] = deque(maxlen=RING)
        self.streams: list[asyncio.Queue[EngineEvent | None]] = []
        self._last_ns = 0
        self._made = 0

    # The daemon itself

    def stop(self) -> None:
        """End the daemon and its streams; the ring is lost."""
        self.up = False
        self.cut_streams()
        self.ring.clear()

    def start(self) -> None:
        self.up = True

    def move_to(self, root: str) -> None:
        """Restart it with another root directory, and the images and containers in that."""
        self.stop()
        self._other_roots[self.root] = self.images, self.containers
        self.root = root
        self.images, self.containers = self._other_roots.pop(root, ({}, {}))
        self.start()

    def cut_streams(self) -> None:
        for stream in self.streams:
            stream.put_nowait(None)
        self.streams.clear()

    @contextmanager
    def losing_events(self) -> Iterator[None]:
        """In the block, events are added to the ring but not sent to any stream; the streams stay open."""
        streams, self.streams = self.streams, []
        try:
            yield
        finally:
            self.streams = streams

    def emit(self, kind: str, action: str, actor: str, **attributes: str) -> None:
        now_ns = int(self.clock.now().replace(tzinfo=UTC).timestamp()) * 10**9 + self.clock.now().microsecond * 1000
        self._last_ns = max(now_ns, self._last_ns + 1)
        row = {
            "Type": kind,
            "Action": action,
            "Actor": {"ID": actor, "Attributes": attributes},
            "timeNano": self._last_ns,
        }
        self.ring.append(row)
        event = engine_rows.event(json.dumps(row).encode())
        for stream in self.streams if event is not None else ():
            stream.put_nowait(event)

    # Actions of people on images

    def add(self, image: Image) -> str:
        """Add an image without an event, as if it was present before the agent watched."""
        assert image.details is not None
        digests, named = list(image.digests), self.clock.now()
        self.images[image.id] = FakeImage(image.id, [], digests, image.details, image.size_bytes, named)
        for reference in image.references:
            self._name(image.id, reference)
        return image.id

    def pull(self, image: Image, reference: str = "") -> str:
        self.add(image)
        if not image.digests:
            self.images[image.id].digests = [builders.make_digest(image.references[0].rpartition(":")[0], image.id)]
        self.emit("image", "pull", reference or image.references[0], name=image.references[0])
        return image.id

    def load(self, image: Image, action: str = "load") -> str:
        self.add(image)
        self.emit("image", action, image.id, name=image.id)
        return image.id

    def tag(self, image_id: str, reference: str) -> None:
        if image_id not in self.images:
            raise NotFound(404, f"No such image: {image_id}")
        self._name(image_id, familiar(reference))
        self.emit("image", "tag", image_id, name=familiar(reference))

    def build(self, reference: str, base: str, *, classic: bool = False, silent: bool = False) -> str:
        """Build on an image. The classic builder records the parent; BuildKit may not even raise an event.

        Without a reference, the image is a step of a build.
        """
        below = self.images[self.resolve(base)].details
        name = f"build of {reference} on {base}"
        details = builders.make_details(name, layers=[*below.layers, builders.make_id(name)], env=below.env)
        details = replace(details, parent=self.resolve(base) if classic else "", labels=below.labels)
        self.add(builders.make_image(name, details=details))
        if silent:
            self._name(builders.make_id(name), reference)
        elif reference:
            self.tag(builders.make_id(name), reference)
        return builders.make_id(name)

    def commit(self, cid: str, reference: str = "") -> str:
        """`docker commit`: the parent of the new image is the container's image."""
        container = self.containers[cid]
        below = self.images[container.image_id].details
        name = f"commit of {cid}"
        details = builders.make_details(name, layers=[*below.layers, builders.make_id(name)], env=below.env)
        details = replace(details, parent=container.image_id, labels=below.labels, committed=True)
        self.add(builders.make_image(name, details=details))
        if reference:
            self.tag(builders.make_id(name), reference)
        self.emit("container", "commit", cid, image=container.image, name=container.name)
        return builders.make_id(name)

    def resolve(self, name: str) -> str:
        """The ID of the image that a name or an ID points to. Raises NotFound."""
        if name in self.images:
            return name
        for image in self.images.values():
            if familiar(name) in image.references or image.id.removeprefix("sha256:").startswith(name):
                return image.id
        raise NotFound(404, f"No such image: {name}")

    def _name(self, image_id: str, reference: str) -> None:
        """Point a reference at an image. No event reports the image that loses it."""
        for image in self.images.values():
            if reference in image.tags:
                image.tags.remove(reference)
        self.images[image_id].tags = sorted([*self.images[image_id].tags, reference])
        self.images[image_id].named = self.clock.now()

    # Deletion, without force and without pruning of parents

    def delete(self, name: str) -> Removed:
        """Delete by name or by full ID. Returns what was removed. Raises NotFound, Conflict."""
        image = self.images[self.resolve(name)]
        return self._delete_by_id(image) if name == image.id else self._delete_by_name(image, familiar(name))

    def _delete_by_id(self, image: FakeImage) -> Removed:
        if len(image.references) > 1 and not self._single(image):
            raise Conflict(409, "unable to delete: image is referenced in multiple repositories")
        self._refuse_where_used(image)
        if self._children(image) and not self.containerd:
            raise Conflict(409, "unable to delete: image has dependent child images")
        untagged = tuple(image.tags or image.digests) if self.containerd else tuple(image.references)
        for reference in untagged:
            self.emit("image", "untag", image.id, name=reference if self.containerd else image.id)
        return Removed(untagged, self._drop(image))

    def _delete_by_name(self, image: FakeImage, reference: str) -> Removed:
        if self._single(image):
            self._refuse_where_used(image)
        whole = self.containerd and "@" in reference
        gone = image.references if whole else self._named_with(image, reference)
        image.tags = [tag for tag in image.tags if tag not in gone]
        image.digests = [digest for digest in image.digests if digest not in gone]
        self.emit("image", "untag", image.id, name=reference if self.containerd else image.id)
        hidden_parent = self._children(image) and not self.containerd
        stays = image.references or hidden_parent or self._users(image)
        untagged = [reference] if self.containerd else gone
        return Removed(tuple(untagged), () if stays else self._drop(image))

    def _named_with(self, image: FakeImage, reference: str) -> list[str]:
        """This reference, and with the last tag of a repository also the digests of that repository."""
        repository = reference.rpartition(":")[0]
        others = [tag for tag in image.tags if tag != reference and tag.rpartition(":")[0] == repository]
        if "@" in reference or others:
            return [reference]
        return [reference, *(digest for digest in image.digests if digest.startswith(f"{repository}@"))]

    def _single(self, image: FakeImage) -> bool:
        """Whether the references count as one: a tag with digests of its own repository, or digests of one repository.

        With the containerd store, the digests of a tagged image do not count as names.
        """
        if self.containerd:
            return len(image.tags or image.digests) == 1
        repositories = {tag.rpartition(":")[0] for tag in image.tags}
        repositories |= {digest.partition("@")[0] for digest in image.digests}
        return len(image.tags) <= 1 and len(repositories) == 1

    def _refuse_where_used(self, image: FakeImage) -> None:
        for container in self._users(image):
            raise Conflict(409, f"unable to delete: container {container.id[:12]} is using its referenced image")

    def _users(self, image: FakeImage) -> list[FakeContainer]:
        return [container for container in self.containers.values() if container.image_id == image.id]

    def _children(self, image: FakeImage) -> list[FakeImage]:
        return [other for other in self.images.values() if other.details.parent == image.id]

    def _drop(self, image: FakeImage) -> tuple[str, ...]:
        """Delete an image. Returns the IDs in the answer; with a graph driver also unshared layers, topmost first."""
        del self.images[image.id]
        self.emit("image", "delete", image.id, name=image.id)
        kept = {chain for other in self.images.values() for chain in chain_ids(other.details.layers)}
        layers = [chain for chain in reversed(chain_ids(image.details.layers)) if chain not in kept]
        return image.id, *(() if self.containerd else layers)

    # Actions of people on containers

    def create(self, image: str, name: str = "", *, image_mounts: Sequence[str] = (), **labels: str) -> str:
        self._made += 1
        name = name or f"box-{self._made}"
        cid = hashlib.sha256(f"{name} {self._made}".encode()).hexdigest()
        made = FakeContainer(cid, self.resolve(image), image, name, self.clock.now(), labels=labels)
        made.image_mounts = tuple(image_mounts)
        self.containers[cid] = made
        self._tell(made, "create")
        return cid

    def begin(self, cid: str) -> None:
        """`docker start`."""
        self.containers[cid].state = "running"
        self._tell(self.containers[cid], "start")

    def end(self, cid: str) -> None:
        """End the container's process."""
        container = self.containers[cid]
        container.state, container.finished = "exited", self.clock.now()
        self._tell(container, "die")

    def remove(self, cid: str) -> None:
        """`docker rm --force`."""
        if self.containers[cid].state in RUNNING:
            self.end(cid)
        self._tell(self.containers.pop(cid), "destroy")

    def run(self, image: str, name: str = "", *, rm: bool = False) -> str:
        """`docker run --detach`; with `rm` a run that has already ended, without a container left."""
        cid = self.create(image, name)
        self.begin(cid)
        if rm:
            self.remove(cid)
        return cid

    def prune_build_cache(self, unused_for: timedelta) -> int:
        """`docker builder prune --all --filter until=...`."""
        gone = build_cache.stale(self.build_cache, unused_for, self.clock.now())
        self.build_cache = [record for record in self.build_cache if record not in gone]
        return sum(record.size_bytes for record in gone)

    def _tell(self, container: FakeContainer, action: str) -> None:
        own = {"image": container.image, "name": container.name}
        self.emit("container", action, container.id, **(container.labels | own))
