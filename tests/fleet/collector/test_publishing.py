"""Watermarks give way to storing while messages pile up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.fleet.collector.batch import StreamState
from agent.fleet.collector.publishing import BACKLOG, BACKLOG_PAUSE, WatermarkPublisher
from agent.fleet.collector.watermarks import PER_SECOND, WINDOW
from tests.support.fakes.broker import FakeBroker
from tests.support.fakes.clock import FakeClock


@asynccontextmanager
async def publishing(server: FakeBroker, clock: FakeClock, backlog: int) -> AsyncIterator[WatermarkPublisher]:
    """A publisher on the connection of a collector for which so many messages wait."""
    publisher = WatermarkPublisher("torchkeeper", "main", clock)
    async with server.connect_collector("hub") as connection:
        await connection.subscribe("waiting")
        for _ in range(backlog):
            await connection.publish("waiting", b"x")
        server.published.clear()
        task = asyncio.create_task(publisher.run(connection))
        await clock.advance()
        yield publisher
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("backlog", "published"), [(0, WINDOW + int(BACKLOG_PAUSE * PER_SECOND)), (BACKLOG + 1, 2 * WINDOW)]
)
async def test_watermarks_come_slower_while_there_is_a_backlog(backlog: int, published: int) -> None:
    server, clock = FakeBroker(), FakeClock()
    async with publishing(server, clock, backlog) as publisher:
        publisher.update({(f"gpu-{number}", "e"): StreamState(1, (), 1) for number in range(1000)})
        await clock.advance()
        assert len(server.published) == WINDOW
        await clock.advance(BACKLOG_PAUSE)
        assert len(server.published) == pytest.approx(published, abs=2)
