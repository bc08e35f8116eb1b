"""What the agent sees of the engine now: the watcher writes it, the sweeper reads it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.adapters import disk
from agent.adapters.engine import EngineInfo
from agent.adapters.sqlite.engine_store import EngineStore
from agent.core.model import Container, Details, Image, Snapshot, Verdict
from agent.core.policy.disk import DiskUsage
from agent.core.pytorch import classify
from agent.core.pytorch.classify import Examined
from agent.core.timekeeping import MachineOff
from agent.core.usage.fold import UsageFold
from agent.core.usage.own_removals import OwnRemovals
from agent.core.usage.tracker import UsageTracker
from agent.tracking.stalls import StallDetector
from agent.tracking.stream_state import StreamState


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Snapshot):
    """All images and containers, and what the images are."""

    verdicts: Mapping[str, Verdict]


class EngineView:
    """Images, containers and usage as of the last event, and whether that can be trusted."""

    engine_store: EngineStore  # the engine's part of the state; not there until an engine is known

    def __init__(self, fold: UsageFold, stalls: StallDetector) -> None:
        self.fold = fold  # only the writer changes it
        self.stalls = stalls
        self.changed = asyncio.Event()  # usage, inventory or trust changed, by others than the agent
        self.stream = StreamState(self.changed, stalls)
        self.engine: EngineInfo | None = None
        self.connected = asyncio.Event()  # an engine was connected to: it may be another than before
        self.verdicts: Mapping[str, Verdict] = {}
        self._examined: dict[str, Examined] = {}  # image ID -> what it says of itself, which never changes
        self._recognised: tuple[tuple[Image, ...], Mapping[str, Verdict]] = ((), {})  # the images asked about last
        self.containers: Mapping[str, Container] = {}  # as last listed
        self.gap_end: datetime | None = None
        self.absences: tuple[MachineOff, ...] = ()  # when the machine was off for more than a day
        self.clock_trusted = True

    @property
    def tracker(self) -> UsageTracker:
        """The usage of the images."""
        return self.fold.tracker

    @property
    def images(self) -> tuple[Image, ...]:
        """All images, as last listed."""
        return self.fold.images

    @property
    def own(self) -> OwnRemovals:
        """The removals of this process."""
        return self.fold.own

    @property
    def direct(self) -> bool:
        """Whether the engine itself listens at our socket. Its stream cannot fall silent without an end."""
        return self.engine is not None and self.engine.direct

    @property
    def proven(self) -> bool:
        """Whether the stream is proven. Only `stream` changes it."""
        return self.stream.proven

    @property
    def current(self) -> bool:
        """Whether it can be acted on: proven, and this process was not stalled since what it last read."""
        return self.stream.trusted

    @property
    def details(self) -> dict[str, Details]:
        """Image ID -> what inspect said. It never changes, so it is asked once."""
        return {image.id: image.details for image in self.images if image.details is not None}

    async def image_of(self, container_id: str) -> str | None:
        """The image that a container used, from the history; None where the history has no use by it."""
        return await self.engine_store.find_image(container_id)

    def space(self) -> DiskUsage | None:
        """The engine's file system now; None where it cannot be seen from here, or no engine is known."""
        return disk.space(self.engine.root) if self.engine is not None else None

    async def recognise(self, images: tuple[Image, ...]) -> Mapping[str, Verdict]:
        """What the images of a listing are, by what they say. Off the event loop, image by image: each may be slow.

        An image is examined once. What depends on the names and on the other images is asked anew where any changed.
        """
        if images == self._recognised[0]:
            return self._recognised[1]
        for image in images:
            if image.details is not None and image.id not in self._examined:
                self._examined[image.id] = await asyncio.to_thread(classify.examine, image)
        here = {image.id for image in images if image.details is not None}
        self._examined = {image_id: found for image_id, found in self._examined.items() if image_id in here}
        found = await asyncio.to_thread(classify.verdicts, images, self._examined)
        self._recognised = images, found
        return found

    def show(self, listing: Listing) -> None:
        """Take what a listing shows beside the images, which the fold has taken."""
        self.verdicts = listing.verdicts
        self.containers = {container.id: container for container in listing.containers}

    def forget(self) -> None:
        """Another engine, or another image store: all IDs are new."""
        self.fold.images, self.verdicts, self._examined, self._recognised = (), {}, {}, ((), {})

    def snapshot(self, at: datetime) -> Snapshot:
        """The last listing, with the containers as the events since have left them."""
        held = (self._container(container.id) for container in self.tracker.containers.values())
        return Snapshot(at=at, images=tuple(filter(self._present, self.images)), containers=tuple(held))

    def _present(self, image: Image) -> bool:
        """Usage that could not be written is lost at a reconnection; the image is there all the same."""
        usage = self.tracker.usages.get(image.id)
        return usage is None or usage.present

    def _container(self, container_id: str) -> Container:
        held = self.tracker.containers[container_id]
        listed = self.containers.get(container_id)
        named = listed.image_mounts if listed is not None else ()
        ended = listed.last_active if listed is not None and listed.state == held.state else None
        return Container(
            id=held.id,
            image_id=held.image_id,
            name=held.name,
            state=held.state,
            last_active=ended,
            image_mounts=held.mounted if held.mounted is not None else named,
            by=held.by,
            ignored=held.ignored,
        )
