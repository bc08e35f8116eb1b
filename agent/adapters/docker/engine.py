"""The engine adapter for Docker, on aiodocker, whose objects, time-outs and errors do not leave this package.

Events, lists and inspects use aiodocker's basic request method. In aiodocker 0.27 the event channel does not reconnect,
has an unbounded queue and reports naive times.
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import aiohttp

from agent import aio
from agent.adapters.docker import json_values, layer_folders, listener, rows
from agent.adapters.docker.client import ENDLESS, DockerClient, find_url, lines
from agent.adapters.docker.json_values import UNREADABLE
from agent.adapters.docker.timeouts import DockerTimeouts
from agent.adapters.engine import (
    EngineDown,
    EngineError,
    EngineInfo,
    EngineUnavailable,
    MadeFrom,
    NotFound,
    PulledTarget,
    Removed,
    RingSnapshot,
)
from agent.core.images import isolation
from agent.core.model import Container, Details, Image
from agent.core.policy.build_cache import CacheRecord
from agent.core.usage.events import EngineEvent

NEWEST_API = (1, 51)  # from 1.52 on events have fewer fields; nothing newer is needed
LARGEST_ANSWER = 4 * 1024 * 1024  # bytes about one image; of 515 public images the largest has 60 kB
MAX_CONCURRENT_INSPECTS = 4  # more is hardly faster, and would load the host's engine
ANOTHER_CLOCK = timedelta(seconds=3)  # a smaller difference may come from a busy host with a single clock

T = TypeVar("T")
R = TypeVar("R")


class DockerEngine(DockerClient):
    """The implementation for Docker Engine."""

    def __init__(self, url: str = "", timeouts: DockerTimeouts = DockerTimeouts()) -> None:
        super().__init__(url, timeouts)
        self._configured = url
        self._containerd = False
        self._root = ""  # the engine's own folder, on its host
        self._podman = False
        self._unreadable: dict[str, str] = {}  # image ID -> why its details cannot be read, for the last listed images
        self._ahead = timedelta()  # how far the engine's clock is ahead of ours

    async def connect(self) -> EngineInfo:
        """Connect with a new client. Raises EngineUnavailable, or EngineDown if the engine no longer listens."""
        try:
            self.url = find_url(self._configured, os.environ)
        except EngineUnavailable as error:
            raise EngineDown(error.status, str(error)) if self._direct else error from None
        try:
            await self._open("v1.24")
            server = await self._json("version")
            api = rows.api_version(server, NEWEST_API)
            await self._open(api)
            began = datetime.now(UTC)
            info = rows.engine_info(await self._json("info"), server, api.removeprefix("v"))
            direct = await listener.is_engine(self.url)
        except BaseException:
            await self.close()
            raise
        self._containerd, self._unreadable = info.containerd_store, {}
        self._podman = info.product == "Podman"
        self._root = info.root
        self._direct = self.url if direct else ""
        self._ahead = _clock_offset(info.time, began)
        return replace(info, direct=direct)

    async def ping(self) -> None:
        """Check that the engine answers. Raises EngineUnavailable if it does not within `timeouts.ping`."""
        await self._text("_ping", timeout=self._timeouts.ping)

    @asynccontextmanager
    async def events(self, since_ns: int) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        """The event stream since a time, with replayed events first. No read time-out: an idle engine sends nothing.

        The iterator ends when the engine closes the stream. Rows that are not events are skipped.
        Raises EngineUnavailable if the stream does not open within `timeouts.call`.
        """
        params = {"since": rows.timestamp(since_ns), "filters": rows.FILTERS}
        async with contextlib.AsyncExitStack() as stack:
            try:
                # nothing else limits the wait for an engine that does not answer
                async with asyncio.timeout(self._timeouts.call):
                    response = await stack.enter_async_context(self._request("events", params=params, timeout=ENDLESS))
            except TimeoutError as error:
                raise EngineUnavailable(0, "no answer to GET /events in time") from error
            yield self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> AsyncIterator[EngineEvent]:
        with contextlib.suppress(aiohttp.ClientError, OSError):  # the engine was killed, which ends the stream
            async for line in lines(response):
                event = rows.event(line)
                if event is not None:
                    yield event

    async def ring(self) -> RingSnapshot:
        """All past events that the engine still has, up to now by its own clock."""
        until = time.time_ns() + self._ahead // timedelta(microseconds=1) * 1000
        params = {"since": "1", "until": rows.timestamp(until)}
        async with self._request("events", params=params) as response:
            return rows.ring([line async for line in lines(response)])

    async def containers(self, known: Mapping[str, Container]) -> list[Container]:
        """All containers. Stopped ones are inspected for the end of their last run, unless `known` has it already."""
        listed = await self._list("containers/json", {"all": "1"})
        return await _gather_limited(listed, lambda row: self._container(row, known))

    async def _container(self, row: dict[str, Any], known: Mapping[str, Container]) -> Container | None:
        container = rows.container(row)
        before = known.get(container.id)
        if container.running or (before is not None and before.state == container.state):
            return rows.with_times(container, before)
        try:
            return rows.stopped(container, await self._json(f"containers/{container.id}/json"))
        except NotFound:
            return None  # it was removed after the list; its destroy event records the use

    async def made_from(self, container_id: str) -> MadeFrom:
        """The images of a container. Raises NotFound."""
        inspected = await self._json(f"containers/{container_id}/json")
        image_id = _identifier(inspected, "Image")
        try:
            return MadeFrom(image_id, rows.mounts(inspected))
        except UNREADABLE:
            return MadeFrom(image_id, None)

    async def images(self, known: Mapping[str, Details]) -> list[Image]:
        """All images, including intermediate ones. Details come from `known`, else from inspect and history.

        An image has no details if its inspect fails or is unreadable; an unreadable one is not inspected again over
        this connection. An image that was deleted after the list is left out.
        """
        listed = await self._list("images/json", {"all": "1"})
        images = await _gather_limited(listed, lambda row: self._image(row, known))
        self._unreadable = {image.id: why for image in images if (why := self._unreadable.get(image.id))}
        return images

    async def count_images(self) -> int:
        """The number of tagged images."""
        return len(await self._list("images/json"))

    async def names(self) -> list[str]:
        """The tags of all images, sorted, by one call."""
        return sorted({tag for row in await self._list("images/json") for tag in rows.references(row)[0]})

    async def _image(self, row: dict[str, Any], known: Mapping[str, Details]) -> Image | None:
        image_id = json_values.identifier(row["Id"])
        details = known.get(image_id)
        if details is None and image_id not in self._unreadable:
            try:
                details = await self._details(image_id)
            except NotFound:
                return None
            except EngineUnavailable:
                raise
            except (EngineError, json.JSONDecodeError):
                pass  # refused or cut off: without details it is kept, and the next list inspects it again
            except UNREADABLE as error:
                self._unreadable[image_id] = isolation.failure(error)
        unreadable = self._unreadable.get(image_id, "")
        image = rows.image(row, details, containerd=self._containerd, unreadable=unreadable)
        return replace(image, origin=None) if self._podman else image  # Podman reports digests of images never pushed

    async def _details(self, image_id: str) -> Details:
        """Inspect and history of one image. Raises one of UNREADABLE if the answers are malformed or too long."""
        with_bytes = {"manifests": "1"} if self._containerd else None
        inspected = await self._about(f"images/{image_id}/json", with_bytes)
        history = await self._about(f"images/{image_id}/history")
        return rows.details(inspected, history, containerd=self._containerd)

    async def _about(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """The engine's JSON about one image. Raises ValueError if it is longer than LARGEST_ANSWER or not JSON."""
        async with self._request(path, params=params) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise ValueError(f"the engine's answer about it has more than {LARGEST_ANSWER} bytes")
        return json_values.parsed(bytes(body))

    async def image_id(self, reference: str) -> str:
        """The full ID of the image that a reference points to now. Raises NotFound."""
        return _identifier(await self._json(f"images/{reference}/json"), "Id")

    async def pulled_target(self, reference: str) -> PulledTarget:
        """The image that a pulled reference points to now, and since when that is the pulled one. Raises NotFound."""
        with _readable(reference):
            return rows.pulled_target(
                await self._about(f"images/{reference}/json"), reference, containerd=self._containerd
            )

    async def layers(self, image_id: str) -> tuple[str, ...]:
        """The diff IDs of an image, base first. Raises NotFound."""
        with _readable(image_id):
            return rows.details(await self._about(f"images/{image_id}/json"), None).layers

    async def layer_folders(self, image_id: str) -> tuple[str, ...]:
        """The folders of an image's layers, topmost first; empty if Docker does not report them. Raises NotFound."""
        with _readable(image_id):
            return layer_folders.parse(await self._about(f"images/{image_id}/json"), self._root)

    async def references(self, image_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The tags and digest references of an image now. Raises NotFound."""
        with _readable(image_id):
            return rows.references(await self._about(f"images/{image_id}/json"))

    async def untag(self, reference: str) -> Removed:
        """Remove one reference; the engine deletes an image with its last reference. Raises NotFound, Conflict."""
        return rows.removed(await self._text(f"images/{reference}", "DELETE", params={"noprune": "1"}))

    async def delete(self, image_id: str) -> Removed:
        """Delete an image by its full ID. Raises NotFound, Conflict."""
        return rows.removed(await self._text(f"images/{image_id}", "DELETE", params={"noprune": "1"}))

    async def tag(self, image_id: str, reference: str) -> None:
        """Add a tag to an image. Raises NotFound."""
        repository, _, tag = reference.rpartition(":")
        await self._text(f"images/{image_id}/tag", "POST", params={"repo": repository, "tag": tag})

    async def build_cache(self) -> list[CacheRecord]:
        """The records of BuildKit's cache."""
        with _readable("the build cache"):
            return [rows.cache_record(row) for row in (await self._json("system/df")).get("BuildCache") or []]

    async def prune_build_cache(self, unused_for: timedelta) -> int:
        """Remove the cache records that were not used for at least `unused_for`. Returns the freed bytes."""
        filters = json.dumps({"until": [f"{unused_for.total_seconds():.0f}s"]})
        answer = await self._parsed("build/prune", {"all": "1", "filters": filters}, dict, "POST")
        with _readable("the size that the prune freed"):
            return json_values.whole(answer.get("SpaceReclaimed"))


def _clock_offset(engine_time: datetime | None, requested_at: datetime) -> timedelta:
    """How far the engine's clock is ahead of ours; 0 if the difference is too small for two clocks.

    `requested_at` is before the request, so the result is rather too large: if it were too small, a read of the ring
    would miss the newest events.
    """
    ahead = engine_time - requested_at if engine_time is not None else timedelta()
    return ahead if abs(ahead) > ANOTHER_CLOCK else timedelta()


def _identifier(answer: Mapping[str, Any], name: str) -> str:
    try:
        return json_values.identifier(answer.get(name))
    except ValueError as error:
        raise EngineUnavailable(0, f"the engine's answer has no {name!r}") from error


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Raise EngineError for an unreadable answer: unlike a missing answer, repeating the request does not help."""
    try:
        yield
    except UNREADABLE as error:
        raise EngineError(0, f"{what}: the engine's answer cannot be read: {isolation.failure(error)}") from error


async def _gather_limited(items: Iterable[T], ask: Callable[[T], Awaitable[R | None]]) -> list[R]:
    """Call `ask` for each item, a few at a time, and return the results that are not None. Raises the first error."""
    semaphore = asyncio.Semaphore(MAX_CONCURRENT_INSPECTS)

    async def one(item: T) -> R | None:
        async with semaphore:
            try:
                return await ask(item)
            except UNREADABLE as error:
                raise EngineUnavailable(0, f"an entry of a list cannot be read: {isolation.failure(error)}") from error

    async def all_of_them() -> list[R | None]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
        return [task.result() for task in tasks]

    try:
        answers = await aio.isolated(all_of_them())
    except ExceptionGroup as errors:
        known, bugs = errors.split(EngineError)
        if known is None or bugs is not None:
            raise
        raise known.exceptions[0] from None
    return [answer for answer in answers if answer is not None]
