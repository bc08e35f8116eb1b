"""Checks each request that a contract test makes to a real engine: it must be in the list of the socket proxy."""

from collections.abc import Iterator
from types import SimpleNamespace

import aiodocker
import aiohttp
import pytest

from agent.adapters.docker import calls, client


@pytest.fixture(autouse=True)
def unlisted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test if the adapter makes a call that is not in the list. The proxy would refuse it."""
    made: list[tuple[str, str]] = []

    async def record(_: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestStartParams) -> None:
        made.append((request.method, request.url.raw_path_qs))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(record)
    trace.freeze()
    make = client._client

    def make_traced(url: str, api_version: str) -> aiodocker.Docker:
        made_client = make(url, api_version)
        made_client.session.trace_configs.append(trace)
        return made_client

    monkeypatch.setattr(client, "_client", make_traced)
    yield
    assert [request for request in made if calls.find(*request) is None] == []
