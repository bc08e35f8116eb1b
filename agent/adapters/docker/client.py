"""Requests to the engine through aiodocker's client, and the translation of their errors."""

import errno
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiodocker
import aiohttp
from aiodocker.exceptions import DockerError
from aiohttp.client_exceptions import UnixClientConnectorError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from agent.adapters.docker import json_values
from agent.adapters.docker.timeouts import DockerTimeouts
from agent.adapters.engine import (
    Conflict,
    EngineDown,
    EngineError,
    EngineUnavailable,
    NotFound,
    PermissionDenied,
)
from agent.config.sections import NO_SSH

ENDLESS = 0.0  # as a time-out in aiohttp: none
LIST_TRIES = 10  # a containerd store answers 404 to a list while images are deleted: up to 11 of 13 when measured
LONGEST_LINE = 16 * 1024 * 1024  # bytes of one event; a longer one cannot come from an engine
NOBODY = (errno.ENOENT, errno.ECONNREFUSED)  # the errors of a Unix socket on which nothing listens


def find_url(configured: str, environ: Mapping[str, str]) -> str:
    """The engine's address: the configured one, else DOCKER_HOST, else the first usual socket that exists.

    Raises EngineUnavailable, which lists the sockets that were tried, if there is none.
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


class DockerClient:
    """Requests to one engine. Each connection uses a new client, since the server's API version may have changed."""

    def __init__(self, url: str, timeouts: DockerTimeouts = DockerTimeouts()) -> None:
        self.url = url
        self._timeouts = timeouts
        self._client: aiodocker.Docker | None = None
        self._direct = ""  # the URL if the engine itself, not a proxy, listened there at the last connect; else ""

    async def _open(self, api_version: str) -> None:
        await self.close()
        self._client = _client(self.url, api_version)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def _request(
        self,
        path: str,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
        *,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield the response. Raises EngineError and its subclasses.

        `timeout`: seconds; None: the time-out of all calls. `body`: a JSON document.
        """
        if self._client is None:
            raise EngineUnavailable(0, "not connected")
        total = self._timeouts.call if timeout is None else timeout
        limits, response = aiohttp.ClientTimeout(total=total, connect=self._timeouts.connect), None
        try:
            async with self._client._query(
                path,
                method,
                params=params,
                data=body,
                headers=headers,
                timeout=limits,
                versioned_api=path not in ("_ping", "version"),
            ) as response:
                try:
                    yield response
                finally:
                    response.close()
        except DockerError as error:
            cause = error.__context__
            if isinstance(cause, UnixClientConnectorError) and cause.errno in NOBODY and self.url == self._direct:
                raise EngineDown(error.status, _unreachable(self.url, cause)) from error
            if isinstance(cause, aiohttp.ClientConnectorError):
                raise _translate(self.url, error.status, _why_unreachable(cause)) from error
            raise _translate(self.url, error.status, str(error.message)) from error
        except TimeoutError as error:
            raise EngineUnavailable(0, f"no answer to {method} /{path} in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnavailable(0, f"{self.url}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            if response is not None:
                raise
            raise EngineUnavailable(0, f"an unreadable error in answer to {method} /{path}: {error!r}") from error

    async def _text(
        self,
        path: str,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> str:
        async with self._request(path, method, params, timeout) as response:
            return await response.text(errors="replace")

    async def _json(self, path: str) -> dict[str, Any]:
        return cast(dict[str, Any], await self._parsed(path, None, dict))

    async def _list(self, path: str, params: Mapping[str, str] | None = None) -> list[Any]:
        """A complete list. A 404, which a containerd store gives while images are deleted, is retried."""
        trying = AsyncRetrying(
            retry=retry_if_exception_type(NotFound),
            stop=stop_after_attempt(LIST_TRIES),
            wait=wait_fixed(self._timeouts.list_pause),
            reraise=True,
        )
        try:
            return cast(list[Any], await trying(self._parsed, path, params, list))
        except NotFound as error:
            raise EngineUnavailable(404, f"/{path} answered 404: {error}") from error

    async def _parsed(self, path: str, params: Mapping[str, str] | None, kind: type, method: str = "GET") -> Any:
        text = await self._text(path, method, params)
        try:
            parsed = json_values.parsed(text)
        except ValueError as error:
            raise EngineUnavailable(0, f"the answer to /{path} is incomplete or not JSON") from error
        if not isinstance(parsed, kind):
            raise EngineUnavailable(0, f"the answer to /{path} is not a {kind.__name__}")
        return parsed


def _client(url: str, api_version: str) -> aiodocker.Docker:
    if url.startswith("ssh://"):  # DOCKER_HOST, as docker.url is checked
        raise EngineUnavailable(0, f"{url}: {NO_SSH}")
    try:
        client = aiodocker.Docker(url=url, api_version=api_version)
    except (ValueError, OSError) as error:
        raise EngineUnavailable(0, f"docker.url: {url!r} cannot be used: {error}") from error
    except DockerError as error:  # aiodocker knows ssh://, but needs another library for it
        raise EngineUnavailable(
            0, f"{url}: ssh:// is not supported; run torchkeeper on that host, or forward its socket with ssh -L"
        ) from error
    # aiohttp repeats GET and DELETE by itself if the connection drops before the answer. By then a name may point to
    # another image, so a DELETE must be sent only once. Without the repetition, each call needs its own connection: a
    # reused one may have ended meanwhile, which says nothing about the engine. aiodocker has no option for either.
    client.session._retry_connection = False
    client.connector._force_close = True
    return client


def _unreachable(url: str, cause: aiohttp.ClientConnectorError) -> str:
    return f"cannot connect to Docker at {url}: {_why_unreachable(cause)}"


def _why_unreachable(cause: aiohttp.ClientConnectorError) -> str:
    """The system's own words. Those of aiohttp repeat the address, and name its settings of TLS without any TLS."""
    error = cause.os_error
    known = isinstance(error.errno, int) and error.errno in errno.errorcode and not isinstance(error, socket.gaierror)
    return (os.strerror(error.errno) if known and error.errno else str(error.strerror or error)).lower()


def _translate(url: str, status: int, message: str) -> EngineError:
    """Turn a status code into one of our errors; 900 is aiodocker's own for "cannot connect"."""
    if status in (0, 900):
        kind = PermissionDenied if "ermission denied" in message else EngineUnavailable
        return kind(status, f"cannot connect to Docker at {url}: {message}")
    if status == 404:
        return NotFound(status, message)
    if status == 409:
        return Conflict(status, message)
    return EngineUnavailable(status, message) if status in (502, 503, 504) else EngineError(status, message)


async def lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of a stream. A last line without a newline was cut off and is left out."""
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > LONGEST_LINE:
            raise aiohttp.ClientPayloadError(f"a line of more than {LONGEST_LINE} bytes")
