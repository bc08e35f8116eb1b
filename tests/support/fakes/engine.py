"""`agent.adapters.engine.Engine` on a daemon in memory, with faults, and with hooks between calls.

A hook runs just before a call takes effect, or just after and before the caller gets the result. So each step of a
removal can be tested with a race or a crash.
"""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from agent.adapters.docker import rows as engine_rows
from agent.adapters.engine import (
    EngineDown,
    EngineInfo,
    EngineUnavailable,
    MadeFrom,
    NotFound,
    PulledTarget,
    Removed,
    RingSnapshot,
)
from agent.core.model import RUNNING, Container, Details, Image
from agent.core.policy.build_cache import CacheRecord
from agent.core.usage.events import EngineEvent
from tests.support.fakes.docker import FakeContainer, FakeDocker, FakeImage

Act = BaseException | Callable[[], Awaitable[object] | object]
MUTATIONS = frozenset({"untag", "delete", "tag"})


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    argument: str = ""


@dataclass(slots=True)
class Hook:
    method: str  # "*": any
    act: Act
    after: bool
    left: int  # calls until it runs
    once: bool


class FakeEngine:
    """One client of a FakeDocker. `calls` has all calls, in order."""

    def __init__(self, docker: FakeDocker) -> None:
        self.docker = docker
        self.calls: list[Call] = []
        self.uninspectable: set[str] = set()  # images whose inspect fails
        self.direct = True  # False as behind a socket proxy or a network
        self.unreadable: dict[str, str] = {}  # image ID -> why its inspect cannot be read
        self.answers_readable = True  # whether the answers to DELETE are readable
        self._hooks: list[Hook] = []
        self._connected = False
        self._streams: list[asyncio.Queue[EngineEvent | None]] = []

    # For tests

    def on(self, method: str, act: Act, *, nth: int = 1, after: bool = False, once: bool = True) -> None:
        """At the n-th call of a method from now ("*": any method), raise an exception or call a function.

        If `once` is False, at each call from the n-th on.
        """
        self._hooks.append(Hook(method, act, after, nth, once))

    def forget_hooks(self) -> None:
        self._hooks.clear()

    @staticmethod
    async def hang() -> None:
        """A function for `on`: the call never returns."""
        await asyncio.Event().wait()

    def counts(self) -> dict[str, int]:
        methods = [call.method for call in self.calls]
        return {method: methods.count(method) for method in sorted(set(methods))}

    @property
    def mutations(self) -> list[Call]:
        """The calls that change something."""
        return [call for call in self.calls if call.method in MUTATIONS]

    @asynccontextmanager
    async def _call(self, method: str, argument: str = "") -> AsyncIterator[None]:
        self.calls.append(Call(method, argument))
        await asyncio.sleep(0)
        hooks = self._due(method)
        await self._run(hook for hook in hooks if not hook.after)
        if not self.docker.up:
            raise (EngineDown if self.direct else EngineUnavailable)(900, "nobody listens")
        if not (self._connected or method == "connect"):
            raise EngineUnavailable(0, "not connected")
        yield
        await self._run(hook for hook in hooks if hook.after)

    def _due(self, method: str) -> list[Hook]:
        due = []
        for hook in [hook for hook in self._hooks if hook.method in ("*", method)]:
            hook.left -= 1
            if hook.left <= 0:
                due.append(hook)
                if hook.once:
                    self._hooks.remove(hook)
        return due

    async def _run(self, hooks: object) -> None:
        for hook in list(hooks):  # type: ignore[call-overload]
            if isinstance(hook.act, BaseException):
                raise hook.act
            answer = hook.act()
            if inspect.isawaitable(answer):
                await answer

    # The protocol

    async def connect(self) -> EngineInfo:
        self._connected = False
        async with self._call("connect"):
            self._connected = True
            return EngineInfo(
                id=self.docker.engine_id,
                name="gpu-07",
                version="20.10.24",
                api_version="1.41",
                driver="overlayfs" if self.docker.containerd else "overlay2",
                containerd_store=self.docker.containerd,
                root=self.docker.root,
                observe_only=self.docker.observe_only,
                direct=self.direct,
            )

    async def close(self) -> None:
        self._connected = False
        for stream in self._streams:
            stream.put_nowait(None)
        self._streams.clear()

    async def ping(self) -> None:
        async with self._call("ping"):
            pass

    @asynccontextmanager
    async def events(self, since_ns: int) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        stream: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        async with self._call("events", str(since_ns)):
            for event in self._replay(since_ns):
                stream.put_nowait(event)
            self.docker.streams.append(stream)
            self._streams.append(stream)
        try:
            yield _read(stream)
        finally:
            for streams in (self.docker.streams, self._streams):
                if stream in streams:
                    streams.remove(stream)

    def _replay(self, since_ns: int) -> list[EngineEvent]:
        """The events of the ring after a time, until the first older one when read backwards."""
        rows = []
        for row in reversed(self.docker.ring):
            if row["timeNano"] < since_ns:
                break
            rows.append(row)
        events = (engine_rows.event(json.dumps(row).encode()) for row in reversed(rows))
        return [event for event in events if event is not None]

    async def ring(self) -> RingSnapshot:
        async with self._call("ring"):
            return engine_rows.ring([json.dumps(row).encode() for row in self.docker.ring])

    async def containers(self, known: Mapping[str, Container]) -> list[Container]:
        async with self._call("containers"):
            return [_container(container, known) for container in self.docker.containers.values()]

    async def made_from(self, container_id: str) -> MadeFrom:
        async with self._call("made_from", container_id):
            container = self.docker.containers.get(container_id)
            if container is None:
                raise NotFound(404, f"No such container: {container_id}")
            return MadeFrom(container.image_id, container.image_mounts)

    async def images(self, known: Mapping[str, Details]) -> list[Image]:
        async with self._call("images"):
            return [self._image(image, known) for image in self.docker.images.values()]

    def _image(self, image: FakeImage, known: Mapping[str, Details]) -> Image:
        fails = image.id in self.uninspectable or image.id in self.unreadable
        found = known.get(image.id) or (None if fails else image.details)
        row = {"Id": image.id, "RepoTags": image.tags, "RepoDigests": image.digests, "Size": image.size_bytes}
        unreadable = self.unreadable.get(image.id, "")
        return engine_rows.image(row, found, containerd=self.docker.containerd, unreadable=unreadable)

    async def image_id(self, reference: str) -> str:
        async with self._call("image_id", reference):
            return self.docker.resolve(reference)

    async def pulled_target(self, reference: str) -> PulledTarget:
        async with self._call("pulled_target", reference):
            image = self.docker.images[self.docker.resolve(reference)]
            metadata = {"LastTagTime": image.named.isoformat()}
            inspected = {"Id": image.id, "RepoDigests": image.digests, "Metadata": metadata}
            return engine_rows.pulled_target(inspected, reference, containerd=self.docker.containerd)

    async def layers(self, image_id: str) -> tuple[str, ...]:
        async with self._call("layers", image_id):
            return self.docker.images[self.docker.resolve(image_id)].details.layers

    async def layer_folders(self, image_id: str) -> tuple[str, ...]:
        async with self._call("layer_folders", image_id):
            return self.docker.images[self.docker.resolve(image_id)].folders

    async def references(self, image_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        async with self._call("references", image_id):
            image = self.docker.images[self.docker.resolve(image_id)]
            return engine_rows.references({"RepoTags": image.tags, "RepoDigests": image.digests})

    async def untag(self, reference: str) -> Removed:
        async with self._call("untag", reference):
            removed = self.docker.delete(reference)
        return removed if self.answers_readable else Removed(readable=False)

    async def delete(self, image_id: str) -> Removed:
        async with self._call("delete", image_id):
            removed = self.docker.delete(image_id)
        return removed if self.answers_readable else Removed(readable=False)

    async def tag(self, image_id: str, reference: str) -> None:
        async with self._call("tag", reference):
            self.docker.tag(image_id, reference)

    async def build_cache(self) -> list[CacheRecord]:
        async with self._call("build_cache"):
            return list(self.docker.build_cache)

    async def prune_build_cache(self, unused_for: timedelta) -> int:
        async with self._call("prune_build_cache", str(unused_for)):
            return self.docker.prune_build_cache(unused_for)


async def _read(stream: asyncio.Queue[EngineEvent | None]) -> AsyncIterator[EngineEvent]:
    while (event := await stream.get()) is not None:
        yield event


def _container(found: FakeContainer, known: Mapping[str, Container]) -> Container:
    before = known.get(found.id)
    running = found.state in RUNNING
    known_end = before.last_active if before is not None and before.state == found.state else None
    ended = found.created if running else found.finished or found.created
    return Container(
        id=found.id,
        image_id=found.image_id,
        name=found.name,
        state=found.state,
        last_active=known_end or ended,
        image_mounts=found.image_mounts,
        image=found.image,
        labels=found.labels,
    )
