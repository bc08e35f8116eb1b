"""Blind time: found, recorded and floored where it is too long, and never made up."""

from datetime import timedelta

import pytest

from agent.adapters.engine import EngineDown, EngineUnavailable
from agent.adapters.sqlite import database
from tests.support.builders import pytorch_image
from tests.support.fake_host import TOLERANCE, World
from tests.support.fakes.clock import START
from tests.support.fakes.docker import RING

REF = "team/torch:1"
OVER = TOLERANCE.total_seconds() + 30.0  # seconds
UNDER = TOLERANCE.total_seconds() - 30.0  # seconds


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


# An engine that ended under our eyes


async def come_and_go(world: World) -> None:
    """The engine comes up, something runs, and it restarts: what it remembered of that is gone."""
    world.docker.start()
    await world.clock.advance(5)
    if world.docker.up:
        world.docker.run(REF, "missed", rm=True)
    world.docker.stop()
    await world.clock.advance(5)
    world.docker.start()


async def test_an_engine_that_ran_after_its_end_is_a_gap_for_the_next_process(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.wait(60)
    world.docker.stop()
    await agent.wait(10)
    await agent.kill()
    await world.clock.advance(OVER)
    await come_and_go(world)
    again = await world.agent().watch()
    assert [cause for _, cause in await again.gaps()] == ["the engine restarted while nobody watched"]
    assert (await again.decision(image)).idle_since == world.clock.now()


async def test_an_engine_seen_up_and_not_read_is_a_gap_from_when_it_was_last_down(
    world: World, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.tracking.watcher.RECONNECT_BACKOFF_MAX", 2.0)
    agent = await world.agent().watch()
    await agent.wait(60)
    world.docker.stop()
    await agent.wait(600)
    agent.engine.on("events", EngineUnavailable(0, "no"), once=False)
    world.docker.start()
    await agent.wait(UNDER)
    world.docker.run(REF, "missed", rm=True)
    world.docker.stop()
    await agent.wait(OVER)
    agent.engine.forget_hooks()
    world.docker.start()
    await agent.wait(60)
    [(seconds, cause)] = await agent.gaps()
    assert (cause, OVER + UNDER <= seconds <= OVER + UNDER + 10) == ("the engine restarted while nobody watched", True)


async def test_an_engine_that_does_not_answer_is_not_known_to_be_down(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.wait(60)
    agent.engine.on("*", EngineUnavailable(0, "no answer in time"), once=False)
    world.docker.stop()
    await agent.wait(OVER)
    agent.engine.forget_hooks()
    world.docker.start()
    await agent.wait(60)
    assert [cause for _, cause in await agent.gaps()] == ["the engine restarted while nobody watched"]


async def test_an_engine_that_remembers_from_before_it_was_found_down_was_not(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.wait(60)
    agent.engine.on("*", EngineDown(900, "so it seems"), once=False)
    world.docker.cut_streams()
    await agent.wait(OVER)
    world.docker.stop()
    world.docker.start()
    world.docker.create(REF, "early")
    await agent.wait(120)
    agent.engine.forget_hooks()
    await agent.wait(60)
    [(seconds, _)] = await agent.gaps()
    assert OVER - 1 <= seconds <= OVER + 1


async def test_a_gap_found_at_each_of_several_lost_connections_is_told_once(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.wait(60)
    await agent.kill()
    await world.clock.advance(OVER)
    overflow_the_ring(world)
    again = world.agent()
    for _ in range(3):
        again.engine.on("ring", lambda: again.store.run(_full_once), after=True)
    await again.watch()
    await again.wait(60)
    assert len(await again.gaps()) == 1


def _full_once(_: object) -> None:
    raise database.StateFull("the disk is full")


async def test_after_a_gap_a_name_tells_nothing_of_a_container_that_is_gone(world: World, image: str) -> None:
    other = world.docker.add(pytorch_image("other", "team/other:1"))
    agent = await world.agent().watch()
    await agent.kill()
    await world.clock.advance(OVER)
    world.docker.tag(other, REF)
    overflow_the_ring(world)
    await world.clock.advance(60)
    world.docker.run(REF, "box", rm=True)  # of the other image, by now
    used = world.clock.now()
    await world.clock.advance(60)
    again = await world.agent().watch()
    assert again.usage(image).last_used is None
    assert (await again.decision(other)).idle_since == used
    assert [cause for _, cause in await again.gaps()] == [
        "more happened than the engine remembers",
        f"a use of '{REF}' could not be matched to an image",
    ]


async def test_uses_that_cannot_be_matched_are_one_gap_from_the_first_to_the_last(world: World) -> None:
    agent = await world.agent().watch()
    await agent.stop()
    await world.clock.advance(10)
    for seconds in (20, 30):
        other = world.docker.add(pytorch_image(f"gone-{seconds}", f"team/gone:{seconds}"))
        world.docker.run(f"team/gone:{seconds}", rm=True)
        world.docker.delete(f"team/gone:{seconds}")
        assert other not in world.docker.images
        await world.clock.advance(seconds)
    again = await world.agent().watch()
    (gap,) = [event.data for event in await again.events("torchkeeper.gap")]
    assert (gap["seconds"], again.view.gap_end) == (20.0, START + timedelta(seconds=30))


async def test_a_use_that_cannot_be_matched_is_one_gap_however_often_it_is_told(world: World) -> None:
    agent = await world.agent().watch()
    await agent.stop()
    world.docker.add(pytorch_image("gone", "team/gone:1"))
    world.docker.run("team/gone:1", rm=True)
    world.docker.delete("team/gone:1")
    again = await world.agent().watch()
    told = await again.gaps()
    assert len(told) == 1
    for _ in range(3):
        world.docker.cut_streams()
        await again.wait(2)
    assert await again.gaps() == told
