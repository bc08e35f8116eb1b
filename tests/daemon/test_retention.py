"""History older than the retention is dropped once a day, but not by a clock that jumped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from agent.config.settings import Settings
from agent.core.protocol.new_events import NewEvent
from agent.daemon import housekeeping
from agent.daemon.build import Components
from agent.daemon.in_force import SettingsInForce
from tests.support.fake_host import FakeHost, HostedAgent
from tests.support.times import DAY, START

KEPT = 3  # days


@asynccontextmanager
async def forgetting(agent: HostedAgent) -> AsyncIterator[None]:
    """The daemon's own loop, on one agent."""
    parts = Components(
        agent.engine, agent.store, agent.host_report, agent.ingestor, agent.watcher, agent.planner, agent.sweeper
    )
    settings = Settings(history={"retention": f"{KEPT}d"})
    task = asyncio.create_task(housekeeping.prune_history(SettingsInForce(settings), parts, agent.clock))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def kinds(agent: HostedAgent) -> list[str]:
    return [event.type for event in await agent.events()]


async def test_history_older_than_the_retention_is_dropped(host: FakeHost) -> None:
    agent = await host.agent().watch()
    async with forgetting(agent):
        await agent.store.log(NewEvent("torchkeeper.old", START, None, {}))
        await agent.wait(2 * DAY)
        await agent.store.log(NewEvent("torchkeeper.new", host.clock.now(), None, {}))
        assert await kinds(agent) == ["torchkeeper.old", "torchkeeper.new"]
        await agent.wait((KEPT - 1) * DAY)
        assert await kinds(agent) == ["torchkeeper.new"]


async def test_no_history_is_dropped_at_a_start_whose_clock_jumped(host: FakeHost) -> None:
    first = await host.agent().watch()
    await first.store.log(NewEvent("torchkeeper.old", START, None, {}))
    await first.stop()
    host.clock.jump(timedelta(days=4000).total_seconds())
    agent = await host.agent().watch()
    async with forgetting(agent):
        await agent.wait(600)
        assert "torchkeeper.old" in await kinds(agent)
