"""The contract of the engine adapter: what the loops ask, and how it fails.

Never force, always `noprune`, never an image prune: there is no call for them. Lists are whole or an error, never
empty because of one.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from agent.core.model import Container, Details, Image
from agent.core.policy.build_cache import CacheRecord
from agent.core.usage.events import EngineEvent


class EngineError(Exception):
    """The engine answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EngineUnavailable(EngineError):
    """The engine cannot be reached, or did not answer in time. Weather: try again later."""


class EngineDown(EngineUnavailable):
    """The engine is not running: it listened at its own Unix socket, and nothing does now.

    Never raised for an engine behind a network or a socket proxy: those end without the engine.
    """


class PermissionDenied(EngineUnavailable):
    """This user may not open the engine's socket."""


class NotFound(EngineError):
    """The engine does not know this image or container."""


class Conflict(EngineError):
    """The engine refused: the thing is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """Which engine this is."""

    id: str
    name: str
    version: str
    api_version: str
    driver: str
    containerd_store: bool
    root: str  # its directory, as it sees it itself
    time: datetime | None = None  # its own clock, when it was asked
    product: str = "Docker"
    observe_only: str = ""  # why nothing may be removed on it; "": the contract of this adapter was proven on it
    direct: bool = False  # the engine itself listens at our socket: its stream cannot end, or fall silent, without it

    @property
    def key(self) -> tuple[str, str, str]:
        """What usage is kept by. Another image store has other image IDs, another root directory other images."""
        return self.id, self.driver, self.root


@dataclass(frozen=True, slots=True)
class Removed:
    """What a DELETE took, by the engine's answer. `readable` is False where that cannot be read: then nobody knows."""

    untagged: tuple[str, ...] = ()  # references, in the familiar form
    deleted: tuple[str, ...] = ()  # image IDs; on a graph driver the chain IDs of their layers, too
    readable: bool = True


@dataclass(frozen=True, slots=True)
class PulledTarget:
    """What a reference means now. A pull told at `at` or later, and nothing after it, gave it that meaning."""

    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """What a container was made from: its image by ID, and images mounted in it, as whoever made it named them."""

    image_id: str
    mounts: tuple[str, ...] | None = ()  # None: they cannot be read


@dataclass(frozen=True, slots=True)
class RingSnapshot:
    """The engine's ring: the rows that the agent reads, and the number and oldest time of all rows."""

    events: tuple[EngineEvent, ...]
    size: int
    oldest_ns: int


class Engine(Protocol):
    """What the loops ask of an engine. The fake for tests satisfies the same contract suite."""

    async def connect(self) -> EngineInfo:
        """A fresh client. Raises EngineUnavailable; EngineDown where it surely does not run."""
        ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Raises EngineUnavailable where no answer comes in time."""
        ...

    def events(self, since_ns: int) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        """The live stream from a time on, replay first; it ends when the engine ends it."""
        ...

    async def ring(self) -> RingSnapshot:
        """All that the engine still remembers, unfiltered."""
        ...

    async def containers(self, known: Mapping[str, Container]) -> list[Container]:
        """All containers; stopped ones with the end of their run, which `known` may already tell."""
        ...

    async def made_from(self, container_id: str) -> MadeFrom:
        """The images of a container. Raises NotFound."""
        ...

    async def images(self, known: Mapping[str, Details]) -> list[Image]:
        """All images, intermediate ones too; one whose inspect fails has no details."""
        ...

    async def image_id(self, reference: str) -> str:
        """The full ID behind a reference now. Raises NotFound."""
        ...

    async def named(self, reference: str) -> PulledTarget:
        """The image behind a reference that was pulled, and since when it surely is the pulled one. Raises NotFound."""
        ...

    async def layers(self, image_id: str) -> tuple[str, ...]:
        """The diff IDs of an image, base first. Raises NotFound."""
        ...

    async def layer_folders(self, image_id: str) -> tuple[str, ...]:
        """The folders on the engine's host that an image's layers are, the topmost first; none where they are not told.

        Raises NotFound.
        """
        ...

    async def references(self, image_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The tags and the digest references of an image now. Raises NotFound."""
        ...

    async def untag(self, reference: str) -> Removed:
        """Take one reference away; with the last one the image goes. Raises NotFound, Conflict."""
        ...

    async def delete(self, image_id: str) -> Removed:
        """Delete an image by its full ID. Raises NotFound, Conflict."""
        ...

    async def tag(self, image_id: str, reference: str) -> None:
        """Give an image a tag (back). Raises NotFound."""
        ...

    async def build_cache(self) -> list[CacheRecord]:
        """The records of the engine's build cache."""
        ...

    async def prune_build_cache(self, unused_for: timedelta) -> int:
        """Drop the cache records that were not used for so long. Returns the bytes that this freed."""
        ...
