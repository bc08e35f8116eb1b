"""Pulls an image by its digest, for `torchkeeper restore`. The agent itself pulls nothing."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from agent.adapters.docker import credentials, json_values
from agent.adapters.docker.client import ENDLESS, lines
from agent.adapters.docker.engine import DockerEngine
from agent.adapters.engine import EngineError, EngineUnavailable
from agent.adapters.puller import Progress


class DockerPuller(DockerEngine):
    """The implementation for Docker Engine."""

    @asynccontextmanager
    async def pull(self, reference: str) -> AsyncIterator[AsyncIterator[Progress]]:
        """Pull a digest reference, with the login of this user. Raises EngineError, also while progress is read."""
        repository, _, digest = reference.partition("@")
        login = await credentials.header(repository, os.environ)
        params, headers = {"fromImage": repository, "tag": digest}, {"X-Registry-Auth": login} if login else None
        async with self._request("images/create", "POST", params, ENDLESS, headers=headers) as response:
            yield _progress(response)


async def _progress(response: aiohttp.ClientResponse) -> AsyncIterator[Progress]:
    async for line in lines(response):
        try:
            row = json_values.fields(json_values.parsed(line))
        except ValueError as error:
            raise EngineUnavailable(0, "the engine's answer to the pull is not JSON") from error
        if message := json_values.text(row.get("error")):
            raise EngineError(0, message)
        yield _layer(row)


def _layer(row: Mapping[str, Any]) -> Progress:
    detail = json_values.fields(row.get("progressDetail"))
    current, total = (value if isinstance(value := detail.get(name), int) else 0 for name in ("current", "total"))
    return Progress(json_values.text(row.get("id")), json_values.text(row.get("status")), current, total)
