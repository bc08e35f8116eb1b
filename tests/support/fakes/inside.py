"""`Inside` of agent/adapters/docker/inside.py on a daemon in memory; it can crash at each step of a look."""

from collections.abc import Iterator
from contextlib import contextmanager

from agent.adapters.engine import EngineInfo, NotFound
from agent.adapters.inside import Made
from agent.core.usage import look_inside
from tests.support.fakes.docker import FakeDocker
from tests.support.fakes.engine import FakeEngine


class FakeInside:
    """One client of a FakeDocker. `dies`: the step at which it crashes, and whether before or after its effect."""

    def __init__(self, docker: FakeDocker, dies: tuple[str, str, BaseException] | None = None) -> None:
        self._docker = docker
        self._engine = FakeEngine(docker)
        self._dies = dies

    async def connect(self) -> EngineInfo:
        return await self._engine.connect()

    async def close(self) -> None:
        await self._engine.close()

    async def settings(self, image_id: str) -> tuple[dict[str, str], str]:
        with self._step("settings"):
            return dict(self._image(image_id).details.env), ""

    async def make(self, image_id: str, token: str) -> str:
        with self._step("make"):
            self._image(image_id)
            return self._docker.create(image_id, look_inside.name_of(token), **{look_inside.LABEL: token})

    async def read(self, container_id: str, path: str) -> str | None:
        with self._step("read"):
            return self._docker.images[self._docker.containers[container_id].image_id].files.get(path)

    async def find(self, token: str) -> Made | None:
        with self._step("find"):
            found = [item for item in self._docker.containers.values() if item.name == look_inside.name_of(token)]
            if not found:
                return None
            never_ran = found[0].state == look_inside.NEVER_STARTED
            return Made(found[0].id, never_ran and look_inside.is_look(found[0].name, found[0].labels))

    async def remove(self, container_id: str) -> None:
        with self._step("remove"):
            if container_id not in self._docker.containers:
                raise NotFound(404, f"No such container: {container_id}")
            self._docker.remove(container_id)

    def _image(self, image_id: str):  # type: ignore[no-untyped-def]
        if image_id not in self._docker.images:
            raise NotFound(404, f"No such image: {image_id}")
        return self._docker.images[image_id]

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        """Run a step. After the crash, nothing reaches the daemon."""
        if self._dies is not None and self._dies[0] == "dead":
            raise self._dies[2]
        if self._dies is not None and self._dies[0] == name:
            _, when, error = self._dies
            self._dies = ("dead", "", error)
            if when == "after":
                self._dies = ("dead", "", error)
                yield
            raise error
        yield
