"""The monitor's web application on a loopback port, over a fleet and a history that a test makes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientSession
from aiohttp.test_utils import TestServer

from agent.config import sections
from agent.fleet.live import totals
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.row import HostRow, StandingAlert
from agent.fleet.web import app, documents
from agent.fleet.web.services import Services
from tests.support.fakes.clock import FakeClock
from tests.support.table_history import TableHistory, table_history
from tests.support.times import START

HEALTHY = documents.Health(broker="connected", behind_events=0, last_commit=START)


class FixedFleet(LiveFleet):
    """The live fleet that a test wants, without the messages that would have made it."""

    def __init__(self) -> None:
        super().__init__("boot")
        self.hosts: dict[str, HostRow] = {}
        self.standing: list[StandingAlert] = []

    def add(self, host: str = "gpu-07", **values: Any) -> None:
        self.hosts[host] = HostRow(host=host, **({"state": "online"} | values))

    def rows(self) -> list[HostRow]:
        return list(self.hosts.values())

    def row(self, name: str) -> HostRow | None:
        return self.hosts.get(name)

    def totals(self) -> totals.Totals:
        return totals.of(self.rows(), self.standing)

    def alerts(self) -> list[StandingAlert]:
        return self.standing


class Monitor:
    """A running web application, with a client of it."""

    def __init__(self, folder: Path, history: TableHistory, settings: sections.Monitor) -> None:
        self.page = folder / "page"
        self.history = history
        self.live = FixedFleet()
        self.clock = FakeClock()
        self.health = HEALTHY
        self.services = Services(
            live=self.live, database=history, settings=settings, health=lambda: self.health, clock=self.clock
        )
        self.server: TestServer | None = None
        self.client = ClientSession()

    async def start(self, **services: Any) -> None:
        """Start, or start again with other services."""
        self.services = replace(self.services, **services)
        if self.server is not None:
            await self.server.close()
        self.server = TestServer(app.make_app(self.services, self.page))
        await self.server.start_server()

    async def close(self) -> None:
        await self.client.close()
        if self.server is not None:
            await self.server.close()

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        async with await self.request("GET", path, **options) as response:
            return response.status, await response.json(content_type=None)

    async def request(self, method: str, path: str, **options: Any) -> ClientResponse:
        assert self.server is not None, "start() comes first"
        return await self.client.request(method, self.server.make_url(path), allow_redirects=False, **options)


@asynccontextmanager
async def monitor(folder: Path, settings: sections.Monitor | None = None) -> AsyncIterator[Monitor]:
    """A monitor that runs already."""
    async with table_history(folder) as history:
        running = Monitor(folder, history, settings or sections.Monitor())
        await running.start()
        try:
            yield running
        finally:
            await running.close()
