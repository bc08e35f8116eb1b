"""The contract of a look inside an image: a container that is made from it and never started."""

from dataclasses import dataclass
from typing import Protocol

from agent.adapters.engine import EngineInfo


@dataclass(frozen=True, slots=True)
class Made:
    """A container that bears the name of a look."""

    id: str
    ours: bool  # it has the label of that look, too, and it never ran


class Inside(Protocol):
    """What a look needs of an engine."""

    async def connect(self) -> EngineInfo: ...

    async def close(self) -> None: ...

    async def settings(self, image_id: str) -> tuple[dict[str, str], str]:
        """The ENV and the working directory of an image. Raises NotFound."""
        ...

    async def make(self, image_id: str, token: str) -> str:
        """Make the container of a look, and never start it; its ID. Raises NotFound."""
        ...

    async def read(self, container_id: str, path: str) -> str | None:
        """The beginning of a regular file in a container; None where there is none."""
        ...

    async def find(self, token: str) -> Made | None:
        """The container that bears the name of a look; None where there is none."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove a container that does not run, with the volumes that were made for it alone. Raises NotFound."""
        ...
