"""The contract of a pull that a person asks for. The agent itself pulls nothing."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from agent.adapters.engine import EngineInfo


@dataclass(frozen=True, slots=True)
class Progress:
    """What the engine reports about one layer during a pull. The bytes are 0 if it does not report any."""

    layer: str
    status: str  # in the engine's words, like "Downloading" or "Pull complete"
    current_bytes: int = 0
    total_bytes: int = 0


class Puller(Protocol):
    """The requests to the engine that the restoring of an image needs."""

    async def connect(self) -> EngineInfo: ...

    async def close(self) -> None: ...

    async def image_id(self, reference: str) -> str:
        """The full ID of the image that a reference points to now. Raises NotFound."""
        ...

    def pull(self, reference: str) -> AbstractAsyncContextManager[AsyncIterator[Progress]]:
        """Pull a digest reference. Raises EngineError, also while its progress is read."""
        ...

    async def tag(self, image_id: str, reference: str) -> None:
        """Add a tag to an image. Raises NotFound."""
        ...
