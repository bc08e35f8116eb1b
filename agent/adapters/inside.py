"""The contract of a look inside an image: a container that is created from it and never started."""

from dataclasses import dataclass
from typing import Protocol

from agent.adapters.engine import EngineInfo


@dataclass(frozen=True, slots=True)
class Made:
    """A container with the name that a look inside an image uses."""

    id: str
    ours: bool  # whether it also has the label of that look and never ran


class Inside(Protocol):
    """The requests to the engine that a look inside an image needs."""

    async def connect(self) -> EngineInfo: ...

    async def close(self) -> None: ...

    async def settings(self, image_id: str) -> tuple[dict[str, str], str]:
        """The ENV and the working directory of an image. Raises NotFound."""
        ...

    async def make(self, image_id: str, token: str) -> str:
        """Create the container of a look without starting it. Returns its ID. Raises NotFound."""
        ...

    async def read(self, container_id: str, path: str) -> str | None:
        """The beginning of a regular file in a container; None if there is none."""
        ...

    async def find(self, token: str) -> Made | None:
        """The container with the name of a look; None if there is none."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove a container that does not run, with its anonymous volumes. Raises NotFound."""
        ...
