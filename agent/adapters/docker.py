"""The Docker Engine through aiodocker: its objects, time-outs and errors end here.

Events, lists and inspects are read from the client's own request method: its events channel does not reconnect, has
an unbounded queue and naive times (facts of aiodocker 0.27).
"""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import aiohttp

from agent.adapters import engine_rows as rows
from agent.adapters import tasks
from agent.adapters.docker_client import TIMEOUT, Connection, find_url, lines
from agent.adapters.engine import EngineError, EngineInfo, EngineUnavailable, Named, NotFound, Removed, RingRows
from agent.core.build_cache import CacheRecord
from agent.core.events import EngineEvent
from agent.core.model import Container, Details, Image

NEWEST_API = (1, 51)  # from 1.52 on the events lose fields; nothing newer is needed
PING_TIMEOUT = 4.0  # seconds
AT_ONCE = 4  # inspects in flight; more gains little, and the agent is a guest
ANOTHER_CLOCK = timedelta(seconds=3)  # by less two looks at one clock may differ, on a busy host

T = TypeVar("T")
R = TypeVar("R")


class DockerEngine(Connection):
    """The real one."""

    def __init__(self, url: str = "") -> None:
        super().__init__(url)
        self._configured = url
        self._containerd = False
        self._ahead = timedelta()  # by how much the engine's clock is ahead of ours

    async def connect(self) -> EngineInfo:
        """A fresh client, pinged. Raises EngineUnavailable."""
        self.url = find_url(self._configured, os.environ)
        try:
            await self._open("v1.24")
            server = await self._json("version")
            api = rows.api_version(server, NEWEST_API)
            await self._open(api)
            began = datetime.now(UTC)
            info = rows.engine_info(await self._json("info"), server, api.removeprefix("v"))
        except BaseException:
            await self.close()
            raise
        self._containerd = info.containerd_store
        self._ahead = _ahead(info.time, began)
        return info

    async def ping(self) -> None:
        """Raises EngineUnavailable where no answer comes within PING_TIMEOUT."""
        await self._text("_ping", timeout=PING_TIMEOUT)

    @asynccontextmanager
    async def events(self, since_ns: int) -> AsyncIterator[AsyncIterator[EngineEvent]]:
        """The live stream from a time on, replay first. No read time-out: an engine at rest says nothing.

        The iterator ends when the engine closes the stream. A row that is no event is passed over.
        Raises EngineUnavailable where the stream does not open within TIMEOUT.
        """
        params = {"since": rows.timestamp(since_ns), "filters": rows.FILTERS}
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(TIMEOUT):  # nothing else watches an engine that takes the call and is silent
                    response = await stack.enter_async_context(self._request("events", params=params, timeout=None))
            except TimeoutError as error:
                raise EngineUnavailable(0, "no answer to GET /events in time") from error
            yield self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> AsyncIterator[EngineEvent]:
        with contextlib.suppress(aiohttp.ClientError, OSError):  # an engine that was killed: the end of the stream
            async for line in lines(response):
                event = rows.event(line)
                if event is not None:
                    yield event

    async def ring(self) -> RingRows:
        """All that the engine still remembers, up to now by its own clock."""
        until = time.time_ns() + self._ahead // timedelta(microseconds=1) * 1000
        params = {"since": "1", "until": rows.timestamp(until)}
        async with self._request("events", params=params) as response:
            return rows.ring([line async for line in lines(response)])

    async def containers(self, known: Mapping[str, Container]) -> list[Container]:
        """All containers. Stopped ones are inspected for the end of their run, unless `known` tells it already."""
        listed = await self._list("containers/json", {"all": "1"})
        return await _each(listed, lambda row: self._container(row, known))

    async def _container(self, row: dict[str, Any], known: Mapping[str, Container]) -> Container | None:
        container = rows.container(row)
        before = known.get(container.id)
        if container.running or (before is not None and before.state == container.state):
            return rows.with_times(container, before)
        try:
            return rows.stopped(container, await self._json(f"containers/{container.id}/json"))
        except NotFound:
            return None  # it went between the list and now; its destroy event tells the use

    async def container_image(self, container_id: str) -> str:
        """The full ID of the image that a container was made from. Raises NotFound."""
        return str(_field(await self._json(f"containers/{container_id}/json"), "Image"))

    async def images(self, known: Mapping[str, Details]) -> list[Image]:
        """All images, intermediate ones too. Details come from `known`, else by inspect and history.

        An image whose inspect fails is there without details. One that is gone meanwhile is left out.
        """
        listed = await self._list("images/json", {"all": "1"})
        return await _each(listed, lambda row: self._image(row, known))

    async def count_images(self) -> int:
        """The number of tagged images."""
        return len(await self._list("images/json"))

    async def _image(self, row: dict[str, Any], known: Mapping[str, Details]) -> Image | None:
        image_id = str(row["Id"])
        try:
            details = known.get(image_id) or await self._details(image_id)
        except NotFound:
            return None
        except EngineUnavailable:
            raise
        except (EngineError, KeyError, TypeError, ValueError, AttributeError):
            details = None  # unknown, and therefore kept
        return rows.image(row, details, containerd=self._containerd)

    async def _details(self, image_id: str) -> Details:
        inspected = await self._json(f"images/{image_id}/json")
        history = await self._parsed(f"images/{image_id}/history", None, list)
        return rows.details(inspected, history)

    async def image_id(self, reference: str) -> str:
        """The full ID behind a reference now. Raises NotFound."""
        return str(_field(await self._json(f"images/{reference}/json"), "Id"))

    async def named(self, reference: str) -> Named:
        """The image behind a reference that was pulled, and since when it surely is the pulled one. Raises NotFound."""
        inspected = await self._json(f"images/{reference}/json")
        _field(inspected, "Id")
        return rows.named(inspected, reference, containerd=self._containerd)

    async def layers(self, image_id: str) -> tuple[str, ...]:
        """The diff IDs of an image, base first. Raises NotFound."""
        return rows.details(await self._json(f"images/{image_id}/json"), ()).layers

    async def references(self, image_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The tags and digest references of an image now. Raises NotFound."""
        inspected = await self._json(f"images/{image_id}/json")
        return rows.references(inspected)

    async def untag(self, reference: str) -> Removed:
        """Take one reference away. On the last one the engine deletes the image, too. Raises NotFound, Conflict."""
        return rows.removed(await self._text(f"images/{reference}", "DELETE", params={"noprune": "1"}))

    async def delete(self, image_id: str) -> Removed:
        """Delete an image by its full ID. Raises NotFound, Conflict."""
        return rows.removed(await self._text(f"images/{image_id}", "DELETE", params={"noprune": "1"}))

    async def tag(self, image_id: str, reference: str) -> None:
        """Give an image a tag (back). Raises NotFound."""
        repository, _, tag = reference.rpartition(":")
        await self._text(f"images/{image_id}/tag", "POST", params={"repo": repository, "tag": tag})

    async def build_cache(self) -> list[CacheRecord]:
        """The records of BuildKit's cache."""
        return [rows.cache_record(row) for row in (await self._json("system/df")).get("BuildCache") or []]

    async def prune_build_cache(self, unused_for: timedelta) -> int:
        """Drop the records that were not used for so long, and nothing else. Returns the bytes that this freed."""
        filters = json.dumps({"until": [f"{unused_for.total_seconds():.0f}s"]})
        answer = await self._parsed("build/prune", {"all": "1", "filters": filters}, dict, "POST")
        return int(answer.get("SpaceReclaimed") or 0)


def _ahead(told: datetime | None, asked: datetime) -> timedelta:
    """By how much a clock that was asked then is ahead of ours; none where it is surely the same one.

    Rather a little too much: a ring that is read up to a moment too early lacks its newest events.
    """
    ahead = told - asked if told is not None else timedelta()
    return ahead if abs(ahead) > ANOTHER_CLOCK else timedelta()


def _field(answer: Mapping[str, Any], name: str) -> Any:
    if not answer.get(name):
        raise EngineUnavailable(0, f"an answer without {name!r}")
    return answer[name]


async def _each(items: Iterable[T], ask: Callable[[T], Awaitable[R | None]]) -> list[R]:
    """Ask for every item, a few at once, and keep what is there. The first error ends it all."""
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R | None:
        async with turnstile:
            try:
                return await ask(item)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise EngineUnavailable(0, f"a row of a list cannot be read: {error!r}") from error

    async def all_of_them() -> list[R | None]:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(one(item)) for item in items]
        return [task.result() for task in asked]

    try:
        answers = await tasks.alone(all_of_them())
    except ExceptionGroup as errors:
        known, bugs = errors.split(EngineError)
        if known is None or bugs is not None:
            raise
        raise known.exceptions[0] from None
    return [answer for answer in answers if answer is not None]
