"""Images that come whole, images that are built on top of others, and images that cannot be told."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.core.model import Reason
from tests import harness
from tests.builders import make_id, make_image, pytorch_image
from tests.fake_clock import START
from tests.harness import Agent, World

REF = "team/torch:1"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with harness.world(tmp_path) as made:
        yield made


@pytest.fixture
def image(world: World) -> str:
    return world.docker.add(pytorch_image("torch", REF))


async def used(agent: Agent, image_id: str) -> tuple[object, str]:
    usage = agent.usage(image_id)
    return usage.last_used, usage.last_used_by


async def test_a_pull_is_an_arrival_and_no_use(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.wait(60)
    world.docker.pull(pytorch_image("torch", REF))
    pulled = world.clock.now()
    await agent.wait()
    usage = agent.usage(image)
    assert (usage.arrived, usage.last_used, usage.pulled) == (pulled, None, True)


@pytest.mark.parametrize("classic", [True, False], ids=["classic", "buildkit"])
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "tagged"])
async def test_a_build_on_top_is_a_use_of_the_base(world: World, image: str, classic: bool, silent: bool) -> None:
    agent = await world.agent().watch()
    await agent.wait(60)
    child = world.docker.build("team/app:1", REF, classic=classic, silent=silent)
    built = world.clock.now()
    await agent.wait(3600 if silent else 1)
    at, by = await used(agent, image)
    assert by == f"build of {child[7:19]}"
    assert at == built if not silent else at is not None


@pytest.mark.parametrize("way", ["pull", "load", "import"])
async def test_what_comes_whole_is_no_use_of_what_it_begins_with(world: World, image: str, way: str) -> None:
    agent = await world.agent().watch()
    base = world.docker.images[image].details
    above = pytorch_image("above", "team/above:1", layers=[*base.layers, make_id("top")])
    if way == "pull":
        world.docker.pull(above)
    else:
        world.docker.load(above, way)
    world.docker.tag(above.id, "team/above:2")  # named at once, as an import is
    await agent.wait()
    assert (agent.usage(image).last_used, agent.usage(above.id).arrived) == (None, START)


async def test_what_was_there_at_the_very_start_touches_no_base(world: World, image: str) -> None:
    world.docker.build("team/app:1", REF, silent=True)
    agent = await world.agent().watch()
    assert agent.usage(image).last_used is None


async def test_an_image_that_vanished_and_came_back_unseen_has_just_arrived(world: World, image: str) -> None:
    agent = await world.agent().watch()
    del world.docker.images[image]
    await agent.intake.refresh()
    assert not agent.usage(image).present
    await agent.wait(60)
    world.docker.add(pytorch_image("torch", REF))
    await agent.intake.refresh()
    usage = agent.usage(image)
    assert (usage.present, usage.first_seen, usage.arrived) == (True, START, world.clock.now())


async def test_an_image_that_cannot_be_inspected_is_unknown_until_it_can(world: World, image: str) -> None:
    agent = world.agent()
    agent.engine.uninspectable.add(image)
    await agent.watch()
    assert await agent.reason(image) is Reason.UNKNOWN
    agent.engine.uninspectable.clear()
    await agent.intake.refresh()
    assert await agent.reason(image) is Reason.MIN_AGE


async def test_an_image_mounted_into_a_container_is_in_use(world: World, image: str) -> None:
    world.docker.add(make_image("tool", "tool:1"))
    world.docker.create("tool:1", image_mounts=[REF])
    agent = await world.agent().watch()
    assert await agent.reason(image) is Reason.IN_USE
