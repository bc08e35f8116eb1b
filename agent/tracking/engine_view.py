"""The agent's current view of the engine: the watcher updates it, and the sweeper reads it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.adapters import disk
from agent.adapters.engine import EngineInfo
from agent.adapters.sqlite.engine_store import EngineStore
from agent.core.figures import Figures
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
    """All images and containers, with the verdict on each image."""

    verdicts: Mapping[str, Verdict]


class EngineView:
    """Images, containers and usage as of the last event, and whether that can be trusted."""

    engine_store: EngineStore  # the stored state of this engine; not set until the first connection

    def __init__(self, fold: UsageFold, stalls: StallDetector) -> None:
        self.fold = fold  # only the writer changes it
        self.stalls = stalls
        self.figures = Figures()
        self.changed = asyncio.Event()  # usage, inventory or trust changed, and not by the agent's own removals
        self.stream = StreamState(self.changed, stalls)
        self.engine: EngineInfo | None = None
        self.connected = asyncio.Event()  # a connection was made, possibly to another engine than before
        self.verdicts: Mapping[str, Verdict] = {}
        self._examined: dict[str, Examined] = {}  # image ID -> its own evidence, which never changes
        self._recognised: tuple[tuple[Image, ...], Mapping[str, Verdict]] = ((), {})  # the last input and result
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
        """Whether the socket is the engine's own. A proxy may keep the stream open after the engine has ended."""
        return self.engine is not None and self.engine.direct

    @property
    def proven(self) -> bool:
        """Whether the stream is proven. Only `stream` changes it."""
        return self.stream.proven

    @property
    def current(self) -> bool:
        """Whether evictions may rely on it: it is proven, and this process has not stalled since the last audit."""
        return self.stream.trusted

    @property
    def details(self) -> dict[str, Details]:
        """Image ID -> the result of inspect. It never changes, so each image is inspected once."""
        return {image.id: image.details for image in self.images if image.details is not None}

    async def image_of(self, container_id: str) -> str | None:
        """The image that a container used, from the history; None if the history has no use by that container."""
        return await self.engine_store.find_image(container_id)

    def space(self) -> DiskUsage | None:
        """Usage of the engine's file system now; None if it is not visible from here, or no engine is known."""
        return disk.space(self.engine.root) if self.engine is not None else None

    async def recognise(self, images: tuple[Image, ...]) -> Mapping[str, Verdict]:
        """The verdicts on the images of a listing. Runs in a thread, one image at a time, as each may be slow.

        Each image is examined once. The verdicts also depend on names and other images, so any change renews them all.
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
        """Set the verdicts and containers of a listing. The fold has already applied its images."""
        self.verdicts = listing.verdicts
        self.containers = {container.id: container for container in listing.containers}

    def forget(self) -> None:
        """Drop all images and verdicts: another engine or image store has other IDs."""
        self.fold.images, self.verdicts, self._examined, self._recognised = (), {}, {}, ((), {})

    def snapshot(self, at: datetime) -> Snapshot:
        """The last listing, with its containers updated by the events since."""
        containers = (self._container(container.id) for container in self.tracker.containers.values())
        return Snapshot(at=at, images=tuple(filter(self._present, self.images)), containers=tuple(containers))

    def _present(self, image: Image) -> bool:
        """Whether the image exists. One without usage does: a reconnection drops usage that could not be written."""
        usage = self.tracker.usages.get(image.id)
        return usage is None or usage.present

    def _container(self, container_id: str) -> Container:
        tracked = self.tracker.containers[container_id]
        listed = self.containers.get(container_id)
        mounts = listed.image_mounts if listed is not None else ()
        last_active = listed.last_active if listed is not None and listed.state == tracked.state else None
        return Container(
            id=tracked.id,
            image_id=tracked.image_id,
            name=tracked.name,
            state=tracked.state,
            last_active=last_active,
            image_mounts=tracked.mounted if tracked.mounted is not None else mounts,
            by=tracked.by,
            ignored=tracked.ignored,
        )
