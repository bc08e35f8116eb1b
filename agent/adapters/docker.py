"""The Docker Engine through aiodocker: its objects, time-outs and errors end here.

Events, lists and inspects are read from the client's own request method: its events channel does not reconnect, has
an unbounded queue and naive times (facts of aiodocker 0.27).
"""

import asyncio
import contextlib
import json
import os
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import aiodocker
import aiohttp
from aiodocker.exceptions import DockerError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from agent.adapters import engine_rows as rows
from agent.adapters.engine import (
    Conflict,
    EngineError,
    EngineInfo,
    EngineUnavailable,
    NotFound,
    PermissionDenied,
    RingRows,
)
from agent.core.events import EngineEvent
from agent.core.model import Container, Details, Image

NEWEST_API = (1, 51)  # from 1.52 on the events lose fields; nothing newer is needed
TIMEOUT = 60.0  # seconds for one call; a containerd store took 2.2 s to list 500 images
PING_TIMEOUT = 10.0  # seconds
LIST_TRIES = 10  # a containerd store answers 404 to a list while images go: up to 11 of 13 in one measurement
LIST_PAUSE = 0.1  # seconds between two tries
AT_ONCE = 4  # inspects in flight; more gains little, and the agent is a guest
LONGEST_LINE = 16 * 1024 * 1024  # bytes of one event; beyond that the stream is not what it should be

T = TypeVar("T")
R = TypeVar("R")


def find_url(configured: str, environ: Mapping[str, str]) -> str:
    """The engine's address: the configured one, DOCKER_HOST, then the first usual socket that is there.

    Raises EngineUnavailable, naming the places looked at, where there is none.
    """
    given = configured or environ.get("DOCKER_HOST", "")
    if given:
        return given
    places = ["/var/run/docker.sock", "/run/docker.sock"]
    if environ.get("XDG_RUNTIME_DIR"):
        places.append(f"{environ['XDG_RUNTIME_DIR']}/docker.sock")
    places.append(str(Path("~/.docker/run/docker.sock").expanduser()))
    for place in places:
        if _is_socket(place):
            return f"unix://{place}"
    raise EngineUnavailable(0, f"no engine socket at {', '.join(places)}; set docker.url or DOCKER_HOST")


def _is_socket(place: str) -> bool:
    try:
        return stat.S_ISSOCK(Path(place).stat().st_mode)
    except OSError:
        return False


class DockerEngine:
    """The real one. A new client for each connection: the API version is the server's of that moment."""

    def __init__(self, url: str = "") -> None:
        self._configured = url
        self.url = url
        self._client: aiodocker.Docker | None = None
        self._containerd = False

    async def connect(self) -> EngineInfo:
        """A fresh client, pinged. Raises EngineUnavailable."""
        await self.close()
        self.url = find_url(self._configured, os.environ)
        self._client = _client(self.url, "v1.24")
        try:
            server = await self._json("version")
            await self.close()
            api = rows.api_version(server, NEWEST_API)
            self._client = _client(self.url, api)
            info = rows.engine_info(await self._json("info"), server, api.removeprefix("v"))
        except BaseException:
            await self.close()
            raise
        self._containerd = info.containerd_store
        return info

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

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
            async for line in _lines(response):
                event = rows.event(line)
                if event is not None:
                    yield event

    async def ring(self) -> RingRows:
        """All that the engine still remembers."""
        params = {"since": "1", "until": rows.timestamp(time.time_ns())}
        async with self._request("events", params=params) as response:
            return rows.ring([line async for line in _lines(response)])

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
        return str((await self._json(f"containers/{container_id}/json"))["Image"])

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
        return str((await self._json(f"images/{reference}/json"))["Id"])

    async def references(self, image_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The tags and digest references of an image now. Raises NotFound."""
        inspected = await self._json(f"images/{image_id}/json")
        return rows.references(inspected)

    async def untag(self, reference: str) -> None:
        """Take one reference away. On the last one the engine deletes the image, too. Raises NotFound, Conflict."""
        await self._text(f"images/{reference}", "DELETE", params={"noprune": "1"})

    async def delete(self, image_id: str) -> None:
        """Delete an image by its full ID. Raises NotFound, Conflict."""
        await self._text(f"images/{image_id}", "DELETE", params={"noprune": "1"})

    async def tag(self, image_id: str, reference: str) -> None:
        """Give an image a tag (back). Raises NotFound."""
        repository, _, tag = reference.rpartition(":")
        await self._text(f"images/{image_id}/tag", "POST", params={"repo": repository, "tag": tag})

    # One way to the engine, one place where its errors are read

    @asynccontextmanager
    async def _request(
        self,
        path: str,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        timeout: float | None = TIMEOUT,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._client is None:
            raise EngineUnavailable(0, "not connected")
        limits = aiohttp.ClientTimeout(total=timeout, connect=PING_TIMEOUT)
        try:
            async with self._client._query(
                path, method, params=params, timeout=limits, versioned_api=path not in ("_ping", "version")
            ) as response:
                try:
                    yield response
                finally:
                    response.close()
        except DockerError as error:
            raise _translate(self.url, error.status, str(error.message)) from error
        except TimeoutError as error:
            raise EngineUnavailable(0, f"no answer to {method} /{path} in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnavailable(0, f"{self.url}: {error}") from error

    async def _text(
        self,
        path: str,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> str:
        async with self._request(path, method, params, timeout) as response:
            return await response.text()

    async def _json(self, path: str) -> dict[str, Any]:
        return cast(dict[str, Any], await self._parsed(path, None, dict))

    async def _list(self, path: str, params: Mapping[str, str] | None = None) -> list[Any]:
        """A list, whole. A 404 (a containerd store's, while images go) is asked again, and never means "none"."""
        trying = AsyncRetrying(
            retry=retry_if_exception_type(NotFound),
            stop=stop_after_attempt(LIST_TRIES),
            wait=wait_fixed(LIST_PAUSE),
            reraise=True,
        )
        try:
            return cast(list[Any], await trying(self._parsed, path, params, list))
        except NotFound as error:
            raise EngineUnavailable(404, f"/{path} answered 404: {error}") from error

    async def _parsed(self, path: str, params: Mapping[str, str] | None, kind: type) -> Any:
        text = await self._text(path, params=params)
        try:
            parsed = json.loads(text)
        except ValueError as error:
            raise EngineUnavailable(0, f"half an answer to /{path}") from error
        if not isinstance(parsed, kind):
            raise EngineUnavailable(0, f"/{path} answered with something else than a {kind.__name__}")
        return parsed


def _client(url: str, api_version: str) -> aiodocker.Docker:
    try:
        return aiodocker.Docker(url=url, api_version=api_version)
    except (ValueError, OSError) as error:
        raise EngineUnavailable(0, f"docker.url: {url!r} cannot be used: {error}") from error


def _translate(url: str, status: int, message: str) -> EngineError:
    """The engine's status codes as our errors; 900 is aiodocker's own for "cannot connect"."""
    if status in (0, 900):
        kind = PermissionDenied if "ermission denied" in message else EngineUnavailable
        return kind(status, f"{url}: {message}")
    if status == 404:
        return NotFound(status, message)
    if status == 409:
        return Conflict(status, message)
    return EngineUnavailable(status, message) if status in (502, 503, 504) else EngineError(status, message)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a stream. A last line without an end was cut off, and is left out."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > LONGEST_LINE:
            raise aiohttp.ClientPayloadError(f"a line of more than {LONGEST_LINE} bytes")


async def _each(items: Iterable[T], ask: Callable[[T], Awaitable[R | None]]) -> list[R]:
    """Ask for every item, a few at once, and keep what is there. The first error ends it all."""
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R | None:
        async with turnstile:
            return await ask(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except* EngineError as errors:
        raise errors.exceptions[0] from None
    return [answer for answer in (task.result() for task in tasks) if answer is not None]
