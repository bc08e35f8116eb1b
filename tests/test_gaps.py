"""Blind time: found, recorded and floored where it is too long, and never made up."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import harness
from tests.builders import pytorch_image
from tests.fake_docker import RING
from tests.harness import TOLERANCE, World

REF = "team/torch:1"
OVER = TOLERANCE.total_seconds() + 30.0  # seconds
UNDER = TOLERANCE.total_seconds() - 30.0  # seconds


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with harness.world(tmp_path) as made:
        yield made


@pytest.fixture
def image(world: World) -> str:
    return world.docker.add(pytorch_image("torch", REF))


def overflow_the_ring(world: World) -> None:
    for _ in range(RING + 1):
        world.docker.emit("network", "connect", "bridge")


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_blind_time_over_the_tolerance_floors_the_idle_time(world: World, image: str, ending: str) -> None:
    agent = await world.agent().watch()
    await agent.wait(3600)
    await getattr(agent, ending)()
    await world.clock.advance(OVER)
    overflow_the_ring(world)
    again = await world.agent().watch()
    [(seconds, cause)] = await again.gaps()
    assert (cause, seconds >= OVER) == ("more happened than the engine remembers", True)
    assert (await again.decision(image)).idle_since == world.clock.now()
    assert again.usage(image).last_used is None


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_blind_time_under_the_tolerance_floors_nothing(world: World, image: str, ending: str) -> None:
    agent = await world.agent().watch()
    first_seen = world.clock.now()
    await agent.wait(3600)
    await getattr(agent, ending)()
    await world.clock.advance(UNDER)
    overflow_the_ring(world)
    again = await world.agent().watch()
    assert (await again.gaps(), (await again.decision(image)).idle_since) == ([], first_seen)


async def test_what_the_engine_remembers_is_no_gap_however_long_it_was(world: World, image: str) -> None:
    agent = await world.agent().watch()
    world.docker.run(REF, "one", rm=True)
    await agent.wait()
    await agent.kill()
    await world.clock.advance(OVER)
    world.docker.run(REF, "two", rm=True)
    used = world.clock.now()
    await world.clock.advance(100 * OVER)
    again = await world.agent().watch()
    assert (again.usage(image).last_used, await again.gaps()) == (used, [])


async def test_an_engine_restarted_while_nobody_watched_is_a_gap(world: World, image: str) -> None:
    agent = await world.agent().watch()
    world.docker.run(REF, "one", rm=True)
    await agent.wait()
    await agent.kill()
    world.docker.run(REF, "missed", rm=True)
    world.docker.stop()
    await world.clock.advance(OVER)
    world.docker.start()
    again = await world.agent().watch()
    assert [cause for _, cause in await again.gaps()] == ["the engine restarted while nobody watched"]
    assert (await again.decision(image)).idle_since == world.clock.now()


async def test_a_gap_survives_a_restart_of_the_agent(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.kill()
    await world.clock.advance(OVER)
    overflow_the_ring(world)
    seen = world.clock.now()
    again = await world.agent().watch()
    await again.wait(600)
    await again.kill()
    third = await world.agent().watch()
    assert (await third.decision(image)).idle_since == seen
    assert len(await third.gaps()) == 1


async def test_a_use_after_a_quiet_watch_is_caught_up_with(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.kill()
    await world.clock.advance(UNDER / 2)
    world.docker.run(REF, "box", rm=True)
    used = world.clock.now()
    await world.clock.advance(UNDER / 2)
    again = await world.agent().watch()
    assert again.usage(image).last_used == used


async def test_a_second_stop_is_no_gap_where_nothing_happened(world: World, image: str) -> None:
    agent = await world.agent().watch()
    world.docker.run(REF, "box", rm=True)
    await agent.wait()
    await world.clock.advance(100 * OVER)
    again = await world.agent().watch()
    assert await again.gaps() == []
