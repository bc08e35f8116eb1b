"""Asks a monitor over its HTTP API, for commands in the terminal."""

import os
from typing import TypeVar

import aiohttp
from pydantic import ValidationError

from agent.fleet.web import documents

TIMEOUT = aiohttp.ClientTimeout(total=60)  # seconds for one answer

D = TypeVar("D", bound=documents.Document)


class MonitorUnavailable(Exception):
    """The monitor did not answer the question; the message says why, and what to do."""


async def what_if(url: str, ttl: str, token: str = "") -> documents.WhatIf:
    """What another TTL would evict on the whole fleet. `token`: for a monitor that asks for one.

    Raises MonitorUnavailable.
    """
    return await _get(documents.WhatIf, url, "/api/what-if", {"ttl": ttl}, token)


async def health(url: str) -> documents.Health:
    """Whether the monitor works. Raises MonitorUnavailable if it says that it does not, too."""
    return await _get(documents.Health, url, "/healthz", {}, "")


async def _get(document: type[D], url: str, path: str, query: dict[str, str], token: str) -> D:
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT, headers=headers) as session,
            session.get(url.rstrip("/") + path, params=query, allow_redirects=False) as response,
        ):
            body = await response.read()
            if response.status != 200:
                raise MonitorUnavailable(_refusal(url, response.status, body))
            return document.model_validate_json(body)
    except ValidationError:
        raise MonitorUnavailable(f"{url}: the answer is not that of a torchkeeper monitor; check --monitor") from None
    except TimeoutError:
        raise MonitorUnavailable(f"{url}: the monitor did not answer within {TIMEOUT.total:.0f} s") from None
    except (aiohttp.ClientError, ValueError, OSError) as error:
        raise MonitorUnavailable(
            f"{url}: no monitor answers there ({_reason(error)}); start one with `torchkeeper monitor`, "
            "or give the address of yours with --monitor"
        ) from None


def _reason(error: Exception) -> str:
    """Why there is no connection, like `Connection refused`."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return os.strerror(error.os_error.errno)
    return str(error)


def _refusal(url: str, status: int, body: bytes) -> str:
    """The sentence for an answer other than 200."""
    if status == 401:
        return f"{url}: the monitor asks for a token; give the file that has it with --token-file"
    try:
        detail = documents.Problem.model_validate_json(body).detail
    except ValidationError:
        return f"{url}: the answer is HTTP {status}, which is not that of a torchkeeper monitor; check --monitor"
    return f"{url}: {detail}"
