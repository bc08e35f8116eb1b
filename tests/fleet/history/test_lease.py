"""Two collectors with one id do not share a database; one that was killed does not keep the next one out."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.fleet.history.database import Database, open_database
from agent.fleet.history.lease import FORGOTTEN, RENEW_EVERY, SILENCE, Lease, LeaseTaken, Process
from tests.support.fakes.clock import FakeClock
from tests.support.proc import PATIENCE

ELSEWHERE = Process(machine="head-2", space="another boot", pid=7, started=1)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(f"sqlite:///{tmp_path / 'fleet.db'}")
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def run(acquiring: asyncio.Task[None], clock: FakeClock, seconds: float) -> None:
    """Let so much time pass for a task that uses the database's thread."""
    for _ in range(round(seconds)):
        await clock.advance(1.0)
        async with asyncio.timeout(PATIENCE):
            while not clock._sleepers and not acquiring.done():  # noqa: ASYNC110 - it waits for the thread
                await asyncio.sleep(0.001)


def make(database: Database, clock: FakeClock, process: Process | None = None, identity: str = "main") -> Lease:
    return Lease(database.transaction, identity, clock, process)


async def test_a_second_monitor_on_the_same_machine_is_refused_at_once(database: Database, clock: FakeClock) -> None:
    parent = Process.of(os.getppid())  # a process that runs
    await make(database, clock, parent).acquire()
    with pytest.raises(LeaseTaken, match=rf"with the id 'main'.* process {parent.pid} on .*monitor\.id"):
        await make(database, clock).acquire()
    await make(database, clock, identity="other").acquire()


async def test_one_that_was_killed_on_the_same_machine_is_followed_at_once(
    database: Database, clock: FakeClock
) -> None:
    dead = Process.of(2**22 + 1)  # above the largest PID
    await make(database, clock, dead).acquire()
    await make(database, clock).acquire()


async def test_one_whose_process_number_another_process_has_now_is_followed_at_once(
    database: Database, clock: FakeClock
) -> None:
    former = Process.of(os.getppid()).model_copy(update={"started": 1})
    await make(database, clock, former).acquire()
    await make(database, clock).acquire()


async def test_one_that_still_renews_on_another_machine_is_not_followed(database: Database, clock: FakeClock) -> None:
    held = make(database, clock, ELSEWHERE)
    await held.acquire()
    acquiring = asyncio.create_task(make(database, clock).acquire())
    await run(acquiring, clock, RENEW_EVERY)
    assert await held.renew() is None
    await run(acquiring, clock, 3)
    with pytest.raises(LeaseTaken, match="process 7 on head-2"):
        await acquiring


async def test_one_that_is_silent_on_another_machine_is_followed_after_30_s_and_then_ends(
    database: Database, clock: FakeClock
) -> None:
    held = make(database, clock, ELSEWHERE)
    await held.acquire()
    acquiring = asyncio.create_task(make(database, clock).acquire())
    await run(acquiring, clock, SILENCE - 2)
    assert not acquiring.done()
    await run(acquiring, clock, 3)
    await acquiring
    keeping = asyncio.create_task(held.keep())
    await run(keeping, clock, RENEW_EVERY + 1)
    with pytest.raises(LeaseTaken):
        await keeping


async def test_one_that_another_machine_left_long_ago_is_followed_at_once(database: Database, clock: FakeClock) -> None:
    await make(database, clock, ELSEWHERE).acquire()
    clock.jump(FORGOTTEN)
    await make(database, clock).acquire()


async def test_one_that_ended_leaves_the_lease_and_only_its_own(database: Database, clock: FakeClock) -> None:
    held = make(database, clock, ELSEWHERE)
    await held.acquire()
    await held.release()
    parent = make(database, clock, Process.of(os.getppid()))
    await parent.acquire()
    await held.release()
    with pytest.raises(LeaseTaken):
        await make(database, clock).acquire()
