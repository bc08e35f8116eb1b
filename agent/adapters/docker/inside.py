"""A container that is created from an image and never started, so that files of the image can be read.

Only `explain --look-inside` creates one, and only containers in its journal are removed: torchkeeper never creates,
stops or removes other people's containers.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agent.adapters.docker import json_values
from agent.adapters.docker.engine import DockerEngine
from agent.adapters.engine import EngineError, EngineUnavailable, NotFound
from agent.adapters.inside import Made
from agent.core.images import isolation
from agent.core.pytorch import version_file
from agent.core.usage import look_inside

LARGEST = 64 * 1024  # bytes that are read of an archive; a version.py has 250
_NEVER = "0001-01-01T00:00:00Z"  # the start time that Docker reports for a container that was never started


class DockerInside(DockerEngine):
    """The implementation for Docker Engine."""

    async def settings(self, image_id: str) -> tuple[dict[str, str], str]:
        config = json_values.fields((await self._json(f"images/{image_id}/json")).get("Config"))
        lines = [item for item in json_values.items(config.get("Env")) if isinstance(item, str)]
        pairs = (line.partition("=") for line in lines)
        return {name: value for name, _, value in pairs}, json_values.text(config.get("WorkingDir"))

    async def make(self, image_id: str, token: str) -> str:
        configuration = {
            "Image": image_id,
            "Cmd": ["never-started"],  # without a command, Docker refuses an image that has none itself
            "Labels": {look_inside.LABEL: token},
            "NetworkDisabled": True,
            "HostConfig": {"NetworkMode": "none"},
        }
        params = {"name": look_inside.name_of(token)}
        async with self._request("containers/create", "POST", params, body=json.dumps(configuration)) as response:
            answer = await response.text(errors="replace")
        with _readable():
            return json_values.identifier(json_values.parsed(answer)["Id"])

    async def read(self, container_id: str, path: str) -> str | None:
        try:
            async with self._request(f"containers/{container_id}/archive", params={"path": path}) as response:
                data = await _beginning(response.content)
        except EngineUnavailable:
            raise
        except EngineError:  # there is no such path, or it is a dangling link
            return None
        return _regular_file(data)

    async def find(self, token: str) -> Made | None:
        name = look_inside.name_of(token)
        try:
            found = await self._json(f"containers/{name}/json")
        except NotFound:
            return None
        if json_values.text(found.get("Name")).removeprefix("/") != name:
            return None  # the engine also accepts the beginning of an ID in place of a name
        with _readable():
            return Made(json_values.identifier(found.get("Id")), _is_ours(found, name))

    async def remove(self, container_id: str) -> None:
        await self._text(f"containers/{container_id}", "DELETE", {"v": "1"})


@contextmanager
def _readable() -> Iterator[None]:
    """Raise EngineUnavailable for an unreadable answer: then it is unknown what the engine did."""
    try:
        yield
    except json_values.UNREADABLE as error:
        detail = isolation.failure(error)
        raise EngineUnavailable(0, f"the engine's answer about a container cannot be read: {detail}") from error


def _is_ours(found: Mapping[str, Any], name: str) -> bool:
    labels = json_values.fields(json_values.fields(found.get("Config")).get("Labels"))
    state = json_values.fields(found.get("State"))
    never_ran = state.get("Status") == look_inside.NEVER_STARTED and state.get("StartedAt") == _NEVER
    return never_ran and look_inside.is_look(name, labels)


async def _beginning(content: Any) -> bytes:
    data = bytearray()
    async for chunk in content.iter_any():
        data += chunk
        if len(data) > LARGEST:
            break
    return bytes(data)


def _regular_file(data: bytes) -> str | None:
    """The beginning of the first entry of an archive; None if that is not a regular file."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            first = tar.next()
            content = tar.extractfile(first) if first is not None and first.isreg() else None
            return content.read(version_file.MOST_BYTES).decode(errors="replace") if content is not None else None
    except (tarfile.TarError, ValueError, OSError):
        return None
