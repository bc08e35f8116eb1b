"""Blind time: found, recorded and floored where it is too long, and never made up."""

from datetime import timedelta

import pytest

from agent.adapters.engine import EngineDown, EngineUnavailable
from agent.tracking.timing import TrackingTiming
from tests.support.builders import pytorch_image
from tests.support.fake_host import TOLERANCE, FakeHost
from tests.support.fakes.clock import START
from tests.support.fakes.docker import RING
from tests.support.stores import FULL

REF = "team/torch:1"
OVER = TOLERANCE.total_seconds() + 30.0  # seconds
UNDER = TOLERANCE.total_seconds() - 30.0  # seconds


@pytest.fixture
def image(host: FakeHost) -> str:
    return host.docker.add(pytorch_image("torch", REF))


def overflow_the_ring(host: FakeHost) -> None:
    for _ in range(RING + 1):
        host.docker.emit("network", "connect", "bridge")


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_blind_time_over_the_tolerance_floors_the_idle_time(host: FakeHost, image: str, ending: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(3600)
    await getattr(agent, ending)()
    await host.clock.advance(OVER)
    overflow_the_ring(host)
    again = await host.agent().watch()
    [(seconds, cause)] = await again.gaps()
    assert (cause, seconds >= OVER) == ("more happened than the engine remembers", True)
    assert (await again.decision(image)).idle_since == host.clock.now()
    assert again.usage(image).last_used is None


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_blind_time_under_the_tolerance_floors_nothing(host: FakeHost, image: str, ending: str) -> None:
    agent = await host.agent().watch()
    first_seen = host.clock.now()
    await agent.wait(3600)
    await getattr(agent, ending)()
    await host.clock.advance(UNDER)
    overflow_the_ring(host)
    again = await host.agent().watch()
    assert (await again.gaps(), (await again.decision(image)).idle_since) == ([], first_seen)


async def test_what_the_engine_remembers_is_no_gap_however_long_it_was(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "one", rm=True)
    await agent.wait()
    await agent.kill()
    await host.clock.advance(OVER)
    host.docker.run(REF, "two", rm=True)
    used = host.clock.now()
    await host.clock.advance(100 * OVER)
    again = await host.agent().watch()
    assert (again.usage(image).last_used, await again.gaps()) == (used, [])


async def test_an_engine_restarted_while_nobody_watched_is_a_gap(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "one", rm=True)
    await agent.wait()
    await agent.kill()
    host.docker.run(REF, "missed", rm=True)
    host.docker.stop()
    await host.clock.advance(OVER)
    host.docker.start()
    again = await host.agent().watch()
    assert [cause for _, cause in await again.gaps()] == ["the engine restarted while nobody watched"]
    assert (await again.decision(image)).idle_since == host.clock.now()


async def test_a_gap_survives_a_restart_of_the_agent(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.kill()
    await host.clock.advance(OVER)
    overflow_the_ring(host)
    seen = host.clock.now()
    again = await host.agent().watch()
    await again.wait(600)
    await again.kill()
    third = await host.agent().watch()
    assert (await third.decision(image)).idle_since == seen
    assert len(await third.gaps()) == 1


async def test_a_use_after_a_quiet_watch_is_caught_up_with(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.kill()
    await host.clock.advance(UNDER / 2)
    host.docker.run(REF, "box", rm=True)
    used = host.clock.now()
    await host.clock.advance(UNDER / 2)
    again = await host.agent().watch()
    assert again.usage(image).last_used == used


async def test_a_second_stop_is_no_gap_where_nothing_happened(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "box", rm=True)
    await agent.wait()
    await host.clock.advance(100 * OVER)
    again = await host.agent().watch()
    assert await again.gaps() == []


# An engine that ended under our eyes


async def come_and_go(host: FakeHost) -> None:
    """The engine comes up, something runs, and it restarts: what it remembered of that is gone."""
    host.docker.start()
    await host.clock.advance(5)
    if host.docker.up:
        host.docker.run(REF, "missed", rm=True)
    host.docker.stop()
    await host.clock.advance(5)
    host.docker.start()


async def test_an_engine_that_ran_after_its_end_is_a_gap_for_the_next_process(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    host.docker.stop()
    await agent.wait(10)
    await agent.kill()
    await host.clock.advance(OVER)
    await come_and_go(host)
    again = await host.agent().watch()
    assert [cause for _, cause in await again.gaps()] == ["the engine restarted while nobody watched"]
    assert (await again.decision(image)).idle_since == host.clock.now()


async def test_an_engine_seen_up_and_not_read_is_a_gap_from_when_it_was_last_down(host: FakeHost, image: str) -> None:
    agent = await host.agent(timing=TrackingTiming(reconnect_backoff_max=2.0)).watch()
    await agent.wait(60)
    host.docker.stop()
    await agent.wait(600)
    agent.engine.on("events", EngineUnavailable(0, "no"), once=False)
    host.docker.start()
    await agent.wait(UNDER)
    host.docker.run(REF, "missed", rm=True)
    host.docker.stop()
    await agent.wait(OVER)
    agent.engine.forget_hooks()
    host.docker.start()
    await agent.wait(60)
    [(seconds, cause)] = await agent.gaps()
    assert (cause, OVER + UNDER <= seconds <= OVER + UNDER + 10) == ("the engine restarted while nobody watched", True)


async def test_an_engine_that_does_not_answer_is_not_known_to_be_down(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    agent.engine.on("*", EngineUnavailable(0, "no answer in time"), once=False)
    host.docker.stop()
    await agent.wait(OVER)
    agent.engine.forget_hooks()
    host.docker.start()
    await agent.wait(60)
    assert [cause for _, cause in await agent.gaps()] == ["the engine restarted while nobody watched"]


async def test_an_engine_that_remembers_from_before_it_was_found_down_was_not(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    agent.engine.on("*", EngineDown(900, "so it seems"), once=False)
    host.docker.cut_streams()
    await agent.wait(OVER)
    host.docker.stop()
    host.docker.start()
    host.docker.create(REF, "early")
    await agent.wait(120)
    agent.engine.forget_hooks()
    await agent.wait(60)
    [(seconds, _)] = await agent.gaps()
    assert OVER - 1 <= seconds <= OVER + 1


async def test_a_gap_found_at_each_of_several_lost_connections_is_told_once(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    await agent.kill()
    await host.clock.advance(OVER)
    overflow_the_ring(host)
    again = host.agent()
    for _ in range(3):
        again.engine.on("ring", FULL, after=True)
    await again.watch()
    await again.wait(60)
    assert len(await again.gaps()) == 1


async def test_after_a_gap_a_name_tells_nothing_of_a_container_that_is_gone(host: FakeHost, image: str) -> None:
    other = host.docker.add(pytorch_image("other", "team/other:1"))
    agent = await host.agent().watch()
    await agent.kill()
    await host.clock.advance(OVER)
    host.docker.tag(other, REF)
    overflow_the_ring(host)
    await host.clock.advance(60)
    host.docker.run(REF, "box", rm=True)  # of the other image, by now
    used = host.clock.now()
    await host.clock.advance(60)
    again = await host.agent().watch()
    assert again.usage(image).last_used is None
    assert (await again.decision(other)).idle_since == used
    assert [cause for _, cause in await again.gaps()] == [
        "more happened than the engine remembers",
        f"a use of '{REF}' could not be matched to an image",
    ]


async def test_uses_that_cannot_be_matched_are_one_gap_from_the_first_to_the_last(host: FakeHost) -> None:
    agent = await host.agent().watch()
    await agent.stop()
    await host.clock.advance(10)
    for seconds in (20, 30):
        other = host.docker.add(pytorch_image(f"gone-{seconds}", f"team/gone:{seconds}"))
        host.docker.run(f"team/gone:{seconds}", rm=True)
        host.docker.delete(f"team/gone:{seconds}")
        assert other not in host.docker.images
        await host.clock.advance(seconds)
    again = await host.agent().watch()
    (gap,) = [event.data for event in await again.events("torchkeeper.gap")]
    assert (gap["seconds"], again.view.gap_end) == (20.0, START + timedelta(seconds=30))


async def test_a_use_that_cannot_be_matched_is_one_gap_however_often_it_is_told(host: FakeHost) -> None:
    agent = await host.agent().watch()
    await agent.stop()
    host.docker.add(pytorch_image("gone", "team/gone:1"))
    host.docker.run("team/gone:1", rm=True)
    host.docker.delete("team/gone:1")
    again = await host.agent().watch()
    told = await again.gaps()
    assert len(told) == 1
    for _ in range(3):
        host.docker.cut_streams()
        await again.wait(2)
    assert await again.gaps() == told
