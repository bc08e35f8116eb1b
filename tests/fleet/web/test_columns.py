"""The snapshot by GET, as the page takes it."""

import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agent.fleet.collector.batch import Committed
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.web import columns, documents
from agent.fleet.web.snapshots import Snapshots
from tests.support import live as make
from tests.support.fakes.clock import FakeClock
from tests.support.live import BOOT, batch, fleet
from tests.support.times import START

Client = TestClient[web.Request, web.Application]


class Served:
    def __init__(self) -> None:
        self.live: LiveFleet = fleet(make.status())
        self.clock = FakeClock()
        self.snapshots = Snapshots(self.live, self.clock)

    async def handle(self, request: web.Request) -> web.Response:
        return await columns.answer(request, self.snapshots)


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
async def client(served: Served) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_get("/api/hosts", served.handle)
    async with TestClient(TestServer(app), auto_decompress=False) as made:
        yield made


async def test_the_snapshot_is_sent_compressed_with_its_position(client: Client) -> None:
    answer = await client.get("/api/hosts", headers={"Accept-Encoding": "gzip, br"})
    document = documents.HostColumns.model_validate_json(gzip.decompress(await answer.read()))
    assert (document.at, [row[0] for row in document.hosts]) == (f"{BOOT}.1.0", ["gpu-07"])
    assert (answer.headers["ETag"], answer.headers["Content-Type"]) == (f'W/"{BOOT}.1.0"', "application/json")


async def test_a_client_that_takes_no_compression_gets_none(client: Client) -> None:
    answer = await client.get("/api/hosts", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in answer.headers
    assert documents.HostColumns.model_validate_json(await answer.read()).at == f"{BOOT}.1.0"


async def test_a_client_that_has_the_snapshot_is_not_sent_it_again(client: Client, served: Served) -> None:
    tag = {"If-None-Match": (await client.get("/api/hosts")).headers["ETag"]}
    again = await client.get("/api/hosts", headers=tag)
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", f'W/"{BOOT}.1.0"')
    served.live.apply(batch(make.info()), Committed())
    served.live.tick(START)
    await served.clock.advance(2)
    assert (await client.get("/api/hosts", headers=tag)).status == 200
