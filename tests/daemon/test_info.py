"""The host's info names the engine that the agent watches, once that engine is proven, and the pause while it lasts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from agent.adapters import overrides
from agent.adapters.engine import EngineUnavailable
from agent.config.settings import Settings
from agent.core.policy.overrides import Overrides
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.daemon import housekeeping
from agent.daemon.build import Components
from agent.daemon.in_force import SettingsInForce
from tests.support import overrides_by_hand
from tests.support.fake_host import FakeHost, HostedAgent
from tests.support.times import HOUR, MINUTE, SECOND


@asynccontextmanager
async def reporting(agent: HostedAgent) -> AsyncIterator[None]:
    """The daemon's own loop, on one agent."""
    components = Components(
        agent.engine, agent.store, agent.host_report, agent.ingestor, agent.watcher, agent.planner, agent.sweeper
    )
    task = asyncio.create_task(housekeeping.report_info(SettingsInForce(Settings()), components, agent.clock))
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


def pause(host: FakeHost, **fields: Any) -> None:
    overrides.change(host.folder, lambda _: Overrides(paused=True, paused_at=host.clock.now(), **fields))


async def test_a_pause_and_its_end_by_a_person_are_reported_while_the_agent_runs(host: FakeHost) -> None:
    agent = host.agent()
    async with reporting(agent):
        await agent.start()
        assert (reported(agent).paused, reported(agent).is_paused(host.clock.now())) == (None, False)
        pause(host, pause_reason="incident 4711")
        agent.host_report.changed.clear()
        await agent.wait(3)
        assert agent.host_report.changed.is_set()
        assert reported(agent).paused == payloads.Pause(until=None, reason="incident 4711")
        assert reported(agent).at > reported(agent).started
        overrides.change(host.folder, lambda _: Overrides())
        await agent.wait(3)
    assert reported(agent).paused is None


async def test_the_end_of_a_pause_is_reported_when_it_comes(host: FakeHost) -> None:
    until = host.clock.now() + HOUR
    pause(host, paused_until=until)
    agent = host.agent()
    async with reporting(agent):
        await agent.start()
        assert reported(agent).paused == payloads.Pause(until=until, reason="")
        await agent.wait(HOUR - 3 * SECOND)
        assert reported(agent).paused is not None
        await agent.wait(5)
    assert reported(agent).paused is None


async def test_a_pause_and_its_end_are_reported_although_sweeps_fail_and_wait(host: FakeHost, image: str) -> None:
    agent = host.agent(ttl=30 * SECOND, min_age=timedelta())
    async with reporting(agent):
        await agent.start()
        agent.engine.on("images", EngineUnavailable(404, "a list"), once=False)
        await agent.wait(50 * MINUTE)  # the ninth try comes after 85
        assert AlertId.SWEEP_FAILED in agent.host_report.alerts
        pause(host, paused_until=host.clock.now() + 5 * SECOND)
        await agent.wait(3)
        assert reported(agent).paused is not None
        await agent.wait(5)
        assert reported(agent).paused is None


async def test_overrides_that_cannot_be_read_are_reported_as_a_pause(host: FakeHost) -> None:
    overrides_by_hand.path(host.folder).write_text("[")
    agent = host.agent()
    async with reporting(agent):
        await agent.start()
    why = "the file with the pins and the pause cannot be read"
    assert reported(agent).paused == payloads.Pause(until=None, reason=why)
