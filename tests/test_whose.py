"""Scanners do not count as use, whatever way they are seen; and the last use tells whose it was."""

import pytest

from agent.core.model import Reason
from agent.core.users import PROJECT, Ignored
from tests.builders import pytorch_image
from tests.harness import PAST_TTL, TTL, World

REF = "team/torch:1"
SCANNERS = Ignored(("trivy*", "role=scanner"))


@pytest.fixture
def image(world: World) -> str:
    return world.docker.add(pytorch_image("torch", REF))


async def test_a_scanners_whole_run_is_no_use(world: World, image: str) -> None:
    agent = await world.agent(ignored=SCANNERS).watch()
    await agent.wait(60)
    for name, labels in (("trivy-1", {}), ("nightly", {"role": "scanner"})):
        cid = world.docker.create(REF, name, **labels)
        world.docker.begin(cid)
        world.docker.end(cid)
        world.docker.remove(cid)
    await agent.wait()
    assert (agent.usage(image).last_used, agent.usage(image).last_used_by) == (None, "")


async def test_everybody_elses_run_is(world: World, image: str) -> None:
    agent = await world.agent(ignored=SCANNERS).watch()
    await agent.wait(60)
    world.docker.run(REF, "train", rm=True)
    await agent.wait(0)
    assert agent.usage(image).last_used == world.clock.now()


async def test_a_scanner_found_by_a_listing_is_no_use_either(world: World, image: str) -> None:
    world.docker.run(REF, "trivy-1")
    agent = await world.agent(ignored=SCANNERS).watch()
    assert agent.usage(image).last_used is None


async def test_a_scanner_that_ran_while_nobody_watched_is_no_use_either(world: World, image: str) -> None:
    agent = await world.agent(ignored=SCANNERS).watch()
    await agent.stop()
    await world.clock.advance(60)
    world.docker.run(REF, "trivy-1", rm=True)
    again = await world.agent(ignored=SCANNERS).watch()
    assert again.usage(image).last_used is None


async def test_while_it_runs_its_image_stays_and_goes_once_it_is_gone(world: World, image: str) -> None:
    agent = await world.agent(ignored=SCANNERS).start()
    cid = world.docker.create(REF, "trivy-1")
    world.docker.begin(cid)
    await agent.wait(PAST_TTL)
    assert await agent.reason(image) is Reason.IN_USE
    world.docker.remove(cid)
    await agent.wait(10)
    assert image not in world.docker.images


async def test_a_scanner_that_stays_stopped_still_holds_its_image(world: World, image: str) -> None:
    agent = await world.agent(ignored=SCANNERS).start()
    cid = world.docker.create(REF, "trivy-1")
    world.docker.begin(cid)
    world.docker.end(cid)
    await agent.wait(PAST_TTL)
    assert await agent.reason(image) is Reason.IN_USE


async def test_a_use_before_the_scan_keeps_its_time(world: World, image: str) -> None:
    agent = await world.agent(ignored=SCANNERS).start()
    world.docker.run(REF, "train", rm=True)
    used = world.clock.now()
    await agent.wait(TTL.total_seconds() / 2)
    cid = world.docker.create(REF, "trivy-1")
    world.docker.begin(cid)
    world.docker.remove(cid)
    await agent.wait(0)
    assert (agent.usage(image).last_used, agent.usage(image).last_used_by) == (used, "train")


async def test_the_last_use_tells_project_and_user(world: World, image: str) -> None:
    agent = await world.agent().watch()
    cid = world.docker.create(REF, "train", **{PROJECT: "llm", "user": "alice"})
    await agent.wait(0)
    assert agent.usage(image).last_used_by == "train (project llm, user alice)"
    world.docker.begin(cid)
    again = await world.agent().watch()
    assert (await again.decision(image)).last_used_by == "train (project llm, user alice)"
