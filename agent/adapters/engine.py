"""The contract of the engine adapter: its methods, results and errors.

No method forces a removal or prunes images, and each removal sets `noprune`. A list is complete, or the call raises:
an error never looks like an empty list.
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
    """The engine cannot be reached, or did not answer in time. Transient: try again later."""


class EngineDown(EngineUnavailable):
    """The engine is not running: it listened at its own Unix socket before, and nothing listens there now.

    Never raised for an engine behind a network or a socket proxy: those may be down while the engine runs.
    """


class PermissionDenied(EngineUnavailable):
    """This user may not open the engine's socket."""


class NotFound(EngineError):
    """The engine does not know this image or container."""


class Conflict(EngineError):
    """The engine refused because the image or container is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """The identity and the properties of an engine."""

    id: str
    name: str
    version: str
    api_version: str
    driver: str
    containerd_store: bool
    root: str  # its data directory, as a path on its own host
    time: datetime | None = None  # its clock at the time of the request
    product: str = "Docker"
    observe_only: str = ""  # why nothing may be removed on this engine; "" if it passes this adapter's contract tests
    direct: bool = False  # the engine itself listens at our socket: the stream ends or stalls only if the engine does

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of usage records: another image store has other image IDs, another root directory other images."""
        return self.id, self.driver, self.root


@dataclass(frozen=True, slots=True)
class Removed:
    """What a DELETE removed, by the engine's answer. If not `readable`, it is unknown what was removed."""

    untagged: tuple[str, ...] = ()  # references, in the familiar form
    deleted: tuple[str, ...] = ()  # image IDs; on a graph driver the chain IDs of their layers, too
    readable: bool = True


@dataclass(frozen=True, slots=True)
class PulledTarget:
    """The image that a reference points to now. A pull event at `at` or later is what made it point there."""

    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """The images that a container uses: its own by ID, and mounted ones by the names given when it was created."""

    image_id: str
    mounts: tuple[str, ...] | None = ()  # None if they cannot be read


@dataclass(frozen=True, slots=True)
class RingSnapshot:
    """The engine's ring of past events: the parsed rows, and the number and oldest time of all rows."""

    events: tuple[EngineEvent, ...]
    size: int
    oldest_ns: int


class Engine(Protocol):
    """The requests that the loops make to an engine. The fake in the tests passes the same contract tests."""

    async def connect(self) -> EngineInfo:
        """Connect with a new client. Raises EngineUnavailable, or EngineDown if the engine certainly does not run."""
        ...

    async def close(self) -> None: ...

    async def ping(self) -> None:
        """Check that the engine answers. Raises EngineUnavailable if it does not answer in time."""
        ...

    def events(self, since_ns: int) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        """The event stream since a time: first the replayed events, then the live ones, until the engine ends it."""
        ...

    async def ring(self) -> RingSnapshot:
        """All past events that the engine still has, unfiltered."""
        ...

    async def containers(self, known: Mapping[str, Container]) -> list[Container]:
        """All containers; stopped ones with the end of their last run, taken from `known` if it is there."""
        ...

    async def made_from(self, container_id: str) -> MadeFrom:
        """The images of a container. Raises NotFound."""
        ...

    async def images(self, known: Mapping[str, Details]) -> list[Image]:
        """All images, including intermediate ones; an image whose inspect fails has no details."""
        ...

    async def image_id(self, reference: str) -> str:
        """The full ID of the image that a reference points to now. Raises NotFound."""
        ...

    async def pulled_target(self, reference: str) -> PulledTarget:
        """The image that a pulled reference points to now, and since when that is the pulled one. Raises NotFound."""
        ...

    async def layers(self, image_id: str) -> tuple[str, ...]:
        """The diff IDs of an image, base first. Raises NotFound."""
        ...

    async def layer_folders(self, image_id: str) -> tuple[str, ...]:
        """The folders of an image's layers on the engine's host, topmost first; empty if Docker does not report them.

        Raises NotFound.
        """
        ...

    async def references(self, image_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The tags and the digest references of an image now. Raises NotFound."""
        ...

    async def untag(self, reference: str) -> Removed:
        """Remove one reference; the engine deletes an image with its last reference. Raises NotFound, Conflict."""
        ...

    async def delete(self, image_id: str) -> Removed:
        """Delete an image by its full ID. Raises NotFound, Conflict."""
        ...

    async def tag(self, image_id: str, reference: str) -> None:
        """Add a tag to an image. Raises NotFound."""
        ...

    async def build_cache(self) -> list[CacheRecord]:
        """The records of the engine's build cache."""
        ...

    async def prune_build_cache(self, unused_for: timedelta) -> int:
        """Remove the cache records that were not used for at least `unused_for`. Returns the freed bytes."""
        ...
