"""When a connection is ended because its viewer takes nothing."""

import asyncio
from typing import Any

import pytest

from agent.fleet.web.viewer import Viewer
from tests.support.fakes.clock import FakeClock


class Connection:
    """A response and its request, of a viewer that takes nothing until it `reads`."""

    def __init__(self) -> None:
        self.transport: Any = self
        self.aborts = 0
        self.taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def abort(self) -> None:
        self.aborts += 1

    async def write(self, _body: bytes) -> None:
        await self.taken


async def writing(clock: FakeClock) -> tuple[Viewer, Connection, "asyncio.Task[None]"]:
    connection: Any = Connection()
    viewer = Viewer(connection, connection, clock)
    task = asyncio.create_task(viewer.write(b"event: hosts\n\n"))
    await asyncio.sleep(0)
    return viewer, connection, task


async def test_a_viewer_that_takes_nothing_for_the_time_out_is_ended() -> None:
    clock = FakeClock()
    viewer, connection, task = await writing(clock)
    await clock.advance(9.9)
    viewer.end_if_stalled(10)
    assert connection.aborts == 0
    await clock.advance(0.1)
    viewer.end_if_stalled(10)
    assert connection.aborts == 1
    task.cancel()


async def test_a_viewer_that_takes_everything_is_never_ended() -> None:
    clock = FakeClock()
    viewer, connection, task = await writing(clock)
    connection.taken.set_result(None)
    await task
    await clock.advance(3600)
    viewer.end_if_stalled(10)
    assert connection.aborts == 0


async def test_a_write_that_the_ping_gives_up_counts_as_a_lost_connection() -> None:
    _, connection, task = await writing(FakeClock())
    connection.taken.cancel()
    with pytest.raises(ConnectionError):
        await task


async def test_a_write_can_be_cancelled() -> None:
    _, _, task = await writing(FakeClock())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
