"""The application of one agent on a fake host, and a client of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agent.http.app import make_app
from agent.http.facts import Gatherer
from agent.pulse import Pulse
from tests.support.fake_host import FakeHost, HostedAgent

Client = TestClient[web.Request, web.Application]
Ask = Callable[..., Awaitable[Client]]


def gatherer(agent: HostedAgent, host: FakeHost, *, broker: bool = False, observe: bool = False) -> Gatherer:
    return Gatherer(
        view=agent.view,
        host_report=agent.host_report,
        store=agent.store,
        clock=agent.clock,
        folder=host.folder,
        observe=lambda: observe,
        broker=broker,
    )


@pytest.fixture
async def client_of(host: FakeHost) -> AsyncIterator[Ask]:
    async with AsyncExitStack() as stack:

        async def made(agent: HostedAgent, pulse: Pulse | None = None, **how: bool) -> Client:
            app = make_app(gatherer(agent, host, **how), pulse or Pulse(host.clock.monotonic))
            return await stack.enter_async_context(TestClient(TestServer(app)))

        yield made
