"""The host's info names the engine that the agent watches, from the moment at which that engine is proven."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.config.settings import Settings
from agent.core.protocol import payloads
from agent.daemon import housekeeping
from agent.daemon.build import Components
from tests.support.fake_host import FakeHost, HostedAgent


@asynccontextmanager
async def reporting(agent: HostedAgent) -> AsyncIterator[None]:
    """The daemon's own loop, on one agent."""
    components = Components(
        agent.engine, agent.store, agent.host_report, agent.ingestor, agent.watcher, agent.planner, agent.sweeper
    )
    task = asyncio.create_task(housekeeping.report_info(Settings(), components, agent.clock))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def reported(agent: HostedAgent) -> payloads.Info:
    assert agent.host_report.info is not None
    return agent.host_report.info


async def test_info_is_reported_without_a_wait_once_the_engine_is_proven(host: FakeHost) -> None:
    agent = host.agent()
    async with reporting(agent):
        await agent.watch()
        info = reported(agent)
    assert (info.engine["id"], info.mode, info.at) == (host.docker.engine_id, "enforce", host.clock.now())


async def test_nothing_is_reported_while_the_engine_is_not_proven(host: FakeHost) -> None:
    host.docker.stop()
    agent = host.agent()
    async with reporting(agent):
        await agent.watch()
        await agent.wait(60)
        assert agent.host_report.info is None
        host.docker.start()
        await agent.wait(60)
        assert reported(agent).engine["id"] == host.docker.engine_id


async def test_another_engine_at_the_same_address_is_reported(host: FakeHost) -> None:
    agent = await host.agent().watch()
    async with reporting(agent):
        await agent.wait()
        before = reported(agent)
        host.docker.stop()
        host.docker.engine_id = "another"
        host.docker.start()
        await agent.wait(60)
        assert reported(agent).engine["id"] == "another"
    assert reported(agent).started == before.started
