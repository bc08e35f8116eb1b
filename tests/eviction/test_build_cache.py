"""The build cache goes by the engine's own prune, once an hour at most, held by what holds evictions, and told."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import overrides
from agent.adapters.engine import EngineError
from agent.core.policy.build_cache import CacheRecord
from agent.core.policy.overrides import Overrides
from tests.support import fake_host as harness
from tests.support.builders import pytorch_image
from tests.support.fake_host import FakeHost, HostedAgent
from tests.support.fakes.clock import START

AFTER = timedelta(hours=2)
PAST = AFTER.total_seconds() + 3600.0  # seconds: an hourly look after that
OLD = CacheRecord(id="old", size_bytes=5000, created=START)
MORE = CacheRecord(id="more", size_bytes=700, created=START)
BUSY = CacheRecord(id="busy", size_bytes=900, created=START, in_use=True)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    async with harness.fake_host(tmp_path) as made:
        made.docker.build_cache = [OLD, MORE, BUSY]
        yield made


async def told(agent: HostedAgent) -> list[dict[str, Any]]:
    keys = ("state", "mode", "unused_seconds", "records", "estimated_bytes", "measured_bytes", "error")
    return [{key: event.data[key] for key in keys} for event in await agent.events("torchkeeper.build-cache")]


def row(state: str, measured: int | None = None, mode: str = "enforce", **more: Any) -> dict[str, Any]:
    facts = {"state": state, "mode": mode, "unused_seconds": AFTER.total_seconds(), "records": 2}
    return {**facts, "estimated_bytes": 5700, "measured_bytes": measured, "error": None, **more}


async def test_without_the_key_the_cache_is_never_asked_for(host: FakeHost) -> None:
    agent = await host.agent().start()
    await agent.wait(PAST)
    assert not agent.engine.counts().keys() & {"build_cache", "prune_build_cache"}


async def test_what_was_not_used_for_so_long_goes_and_is_told_before_and_after(host: FakeHost) -> None:
    agent = await host.agent(build_cache_after=AFTER).start()
    await agent.wait(AFTER.total_seconds() - 60)
    assert await told(agent) == []
    await agent.wait(3660)
    assert host.docker.build_cache == [BUSY]
    assert await told(agent) == [row("decided"), row("pruned", 5700)]


async def test_it_is_looked_at_once_an_hour_however_often_it_sweeps(host: FakeHost) -> None:
    agent = await host.agent(build_cache_after=AFTER).start()
    for number in range(20):
        host.docker.add(pytorch_image(f"i{number}", f"team/a:{number}"))
        await agent.wait(30)
    assert agent.engine.counts()["build_cache"] == 1


async def test_in_observe_mode_it_is_told_once_and_stays(host: FakeHost) -> None:
    agent = await host.agent(build_cache_after=AFTER, observe=True).start()
    await agent.wait(PAST + 5 * 3600)
    assert host.docker.build_cache == [OLD, MORE, BUSY]
    assert await told(agent) == [row("would-prune", mode="observe")]


async def test_on_an_engine_that_is_only_observed_it_stays_whatever_the_mode(host: FakeHost) -> None:
    host.docker.observe_only = "this is another engine"
    agent = await host.agent(build_cache_after=AFTER).start()
    await agent.wait(PAST)
    assert host.docker.build_cache == [OLD, MORE, BUSY]
    assert await told(agent) == [row("would-prune", mode="observe")]


async def test_a_pause_holds_it(host: FakeHost) -> None:
    overrides.change(host.folder, lambda _: Overrides(paused=True, paused_at=START))
    agent = await host.agent(build_cache_after=AFTER).start()
    await agent.wait(PAST)
    assert (host.docker.build_cache, await told(agent)) == ([OLD, MORE, BUSY], [])
    overrides.change(host.folder, lambda _: Overrides())
    await agent.wait(10)
    assert host.docker.build_cache == [BUSY]


async def test_an_engine_that_fails_at_it_is_told_and_asked_again(host: FakeHost) -> None:
    agent = await host.agent(build_cache_after=AFTER).start()
    agent.engine.on("prune_build_cache", EngineError(500, "no"))
    await agent.wait(PAST)
    assert await told(agent) == [row("decided"), row("failed", error="no")]
    await agent.wait(3700)
    assert (await told(agent))[-1] == row("pruned", 5700)


async def test_an_engine_that_cannot_list_it_prunes_nothing(host: FakeHost) -> None:
    agent = await host.agent(build_cache_after=AFTER).start()
    agent.engine.on("build_cache", EngineError(500, "no"), once=False)
    await agent.wait(PAST)
    assert (host.docker.build_cache, await told(agent)) == ([OLD, MORE, BUSY], [])
