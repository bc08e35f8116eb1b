"""A stream that lost events without an end: found, taken in from the engine's memory, or recorded as a gap."""

import asyncio
import time
from datetime import datetime, timedelta

import pytest

from agent.adapters.engine import EngineUnavailable
from agent.core.model import HeldBy, Outcome
from agent.core.usage.continuity import OVERRUN, RESTARTED
from agent.core.usage.replay import AUDIT_EVERY
from agent.tracking import ingestor, stalls
from agent.tracking.stalls import BURST, LATE, TICK, StallDetector
from tests.support.builders import pytorch_image
from tests.support.fake_host import PAST_TTL, TOLERANCE, TTL, Agent, World, due, sweep
from tests.support.fakes.docker import RING

REF = "team/torch:1"
OVER = TOLERANCE.total_seconds() + 30.0  # seconds


@pytest.fixture
def image(world: World) -> str:
    return world.docker.add(pytorch_image("torch", REF))


def overflow_the_ring(world: World) -> None:
    for _ in range(RING + 1):
        world.docker.emit("container", "exec_start", "c")


def use_unseen(world: World) -> datetime:
    """A use that the stream loses."""
    with world.docker.losing_events():
        world.docker.run(REF, rm=True)
    return world.clock.now()


def stall(agent: Agent) -> None:
    agent.stalls.noticed.set()


async def behind_a_proxy(world: World, tolerance: timedelta = TOLERANCE) -> Agent:
    agent = world.agent(tolerance=tolerance)
    agent.engine.direct = False
    return await agent.watch()


# After a stall


async def test_a_use_lost_in_a_stall_is_taken_in_from_the_engines_memory(world: World, image: str) -> None:
    agent = await world.agent().watch()
    used = use_unseen(world)
    stall(agent)
    await agent.wait(5)
    assert (agent.usage(image).last_used, await agent.gaps(), agent.view.proven) == (used, [], True)
    assert agent.engine.counts()["events"] == 2  # a new stream


async def test_a_stall_that_lost_nothing_keeps_its_stream(world: World, image: str) -> None:
    agent = await world.agent().watch()
    world.docker.run(REF, rm=True)
    used = world.clock.now()
    stall(agent)
    await agent.wait(5)
    assert (agent.usage(image).last_used, await agent.gaps(), agent.engine.counts()["events"]) == (used, [], 1)
    assert not agent.stalls.check()


async def test_an_event_that_arrives_late_is_not_taken_for_lost(world: World, image: str) -> None:
    agent = await world.agent().watch()
    streams, world.docker.streams = world.docker.streams, []
    world.docker.create(REF, "box")
    stall(agent)
    await agent.wait(ingestor.IN_FLIGHT / 2)
    [stream] = streams
    stream.put_nowait(agent.engine._replay(0)[-1])
    world.docker.streams = streams
    await agent.wait(5)
    assert (agent.engine.counts()["events"], agent.stalls.check()) == (1, False)


async def test_a_loss_that_the_engine_no_longer_remembers_is_a_gap_however_short(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.wait(3600)
    with world.docker.losing_events():
        world.clock.freeze(1)
        world.docker.run(REF, "forgotten", rm=True)
        world.clock.freeze(1)
        overflow_the_ring(world)
        world.docker.run(REF, "remembered", rm=True)
    used = world.clock.now()
    stall(agent)
    await agent.wait(5)
    [(seconds, cause)] = await agent.gaps()
    assert (cause, 0 < seconds <= 2, agent.usage(image).last_used) == (OVERRUN, True, used)
    assert agent.view.gap_end == used


async def test_a_stall_under_the_tolerance_is_not_a_gap_where_no_loss_is_seen(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.wait(3600)
    world.clock.freeze(2)
    overflow_the_ring(world)
    stall(agent)
    await agent.wait(5)
    assert (await agent.gaps(), agent.view.proven, agent.stalls.check()) == ([], True, False)


async def test_a_stall_over_the_tolerance_is_a_gap_where_the_engine_forgot_what_happened(
    world: World, image: str
) -> None:
    agent = await world.agent().watch()
    await agent.wait(3600)
    world.clock.freeze(OVER)
    overflow_the_ring(world)
    stall(agent)
    await agent.wait(5)
    assert [cause for _, cause in await agent.gaps()] == [OVERRUN]


async def test_nothing_is_evicted_between_a_stall_and_its_audit(world: World, image: str) -> None:
    agent = await due(world)
    agent.engine.on("ring", EngineUnavailable(0, "no answer in time"), once=False)
    stall(agent)
    plan = await agent.plan()
    assert (plan.held_by, plan.evictions) == (HeldBy.UNPROVEN, ())


async def test_a_process_that_dies_before_the_audit_leaves_the_loss_to_the_next(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await agent.wait(60)
    agent.engine.on("ring", agent.engine.hang, once=False)
    used = use_unseen(world)
    stall(agent)
    world.docker.create(REF, "seen after it")
    await agent.wait(30)
    await agent.kill()
    again = await world.agent().watch()
    assert (again.usage(image).last_used, await again.gaps()) == (used, [])


async def test_a_process_that_dies_before_the_audit_leaves_a_gap_where_the_engine_forgot(
    world: World, image: str
) -> None:
    agent = await world.agent().watch()
    await agent.wait(60)
    agent.engine.on("ring", agent.engine.hang, once=False)
    use_unseen(world)
    stall(agent)
    await agent.wait(OVER)
    overflow_the_ring(world)
    world.docker.create(REF, "seen after it")
    await agent.wait(30)
    await agent.stop()
    again = await world.agent().watch()
    assert [cause for _, cause in await again.gaps()] == [OVERRUN]


async def test_a_stall_is_noticed_by_its_length() -> None:
    found = StallDetector()
    assert not found.check()
    found._ticked -= TICK + LATE
    assert found.check()
    found.clear()
    found.restart()
    assert not found.check()


async def test_so_many_events_at_once_count_as_a_stall() -> None:
    found = StallDetector()
    found.note_taken_in(BURST - 1)
    assert not found.check()
    found.note_taken_in(BURST)
    assert found.check()


async def test_a_burst_of_events_is_audited(world: World, image: str) -> None:
    agent = await world.agent().watch()
    for _ in range(BURST):
        world.docker.emit("container", "create", "c" * 64, image=REF, name="box")
    await agent.wait(1)
    assert (agent.engine.counts()["ring"], agent.stalls.check(), await agent.gaps()) == (2, False, [])


async def test_a_blocked_event_loop_is_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "TICK", 0.01)
    monkeypatch.setattr(stalls, "LATE", 0.05)
    found = StallDetector()
    ticking = asyncio.create_task(found.run())
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251 - the block itself
    async with asyncio.timeout(30):
        await found.noticed.wait()
    ticking.cancel()


# Silence


async def test_a_stream_that_is_dead_without_an_end_is_found_within_a_minute_of_silence(
    world: World, image: str
) -> None:
    agent = await behind_a_proxy(world)
    used = use_unseen(world)
    world.docker.streams.clear()
    await agent.wait(AUDIT_EVERY + 5)
    assert (agent.usage(image).last_used, await agent.gaps(), agent.engine.counts()["events"]) == (used, [], 2)


@pytest.mark.parametrize("ending", ["stop", "kill", None])
async def test_the_time_since_a_dead_stream_was_last_proven_is_blind_if_the_engine_restarts(
    world: World, image: str, ending: str | None
) -> None:
    agent = await behind_a_proxy(world, timedelta())
    world.docker.run(REF, "known", rm=True)
    await agent.wait(50)
    world.docker.streams.clear()
    world.docker.run(REF, "missed", rm=True)
    used = world.clock.now()
    world.docker.stop()
    world.docker.start()
    await agent.wait(20)
    if ending is not None:
        await getattr(agent, ending)()
        agent = await behind_a_proxy(world, timedelta())
    await agent.wait(20)
    assert {cause for _, cause in await agent.gaps()} == {RESTARTED}
    assert (await agent.decision(image)).idle_since >= used  # type: ignore[operator]


async def test_a_use_while_the_proxy_is_away_and_the_engine_restarts_is_covered_by_a_gap(
    world: World, image: str
) -> None:
    agent = await behind_a_proxy(world)
    await agent.wait(60)
    agent.engine.on("*", EngineUnavailable(900, "nobody listens"), once=False)
    world.docker.cut_streams()
    await agent.wait(70)
    world.docker.run(REF, "missed", rm=True)
    used = world.clock.now()
    world.docker.stop()
    world.docker.start()
    agent.engine.forget_hooks()
    await agent.wait(60)
    assert [cause for _, cause in await agent.gaps()] == [RESTARTED]
    assert (await agent.decision(image)).idle_since >= used  # type: ignore[operator]


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "proxied"])
async def test_health_checks_that_fill_the_engines_memory_make_no_gap_and_hold_no_eviction(
    world: World, image: str, direct: bool
) -> None:
    """Sixty of these events in ten seconds, as ten containers with a health check make: the memory lasts for 43 s."""
    agent = world.agent(tolerance=timedelta())
    agent.engine.direct = direct
    await agent.start()
    for _ in range(int(PAST_TTL / 10)):
        for _ in range(60):
            world.docker.emit("container", "exec_start", "c")
        await agent.wait(10)
    assert (await agent.gaps(), await agent.outcomes()) == ([], ["removed"])


async def test_an_engine_that_restarted_and_is_at_rest_since_is_one_gap(world: World, image: str) -> None:
    agent = await behind_a_proxy(world, timedelta(seconds=30))
    world.docker.run(REF, "known", rm=True)
    await agent.wait(50)
    world.docker.stop()
    await agent.wait(40)
    world.docker.start()
    await agent.wait(3600)
    assert [cause for _, cause in await agent.gaps()] == [RESTARTED]


# Before a removal


async def test_a_use_lost_just_before_a_sweep_keeps_its_image(world: World, image: str) -> None:
    agent = await due(world)
    used = use_unseen(world)
    sweeping = asyncio.create_task(sweep(agent))
    await agent.wait(5)
    with pytest.raises(EngineUnavailable, match="lost 4 events"):
        await sweeping
    assert (agent.usage(image).last_used, image in world.docker.images) == (used, True)
    assert (agent.engine.counts()["events"], agent.view.proven) == (2, True)
    assert await sweep(agent) == {}


async def test_a_sweep_audits_once_before_its_first_removal(world: World) -> None:
    for number in range(3):
        world.docker.add(pytorch_image(f"torch-{number}", f"team/torch:{number}"))
    agent = await due(world)
    before = agent.engine.counts()["ring"]
    assert len(await sweep(agent)) == 3
    assert agent.engine.counts()["ring"] == before + 1


async def test_a_sweep_with_nothing_to_remove_asks_nothing(world: World, image: str) -> None:
    agent = await world.agent(ttl=TTL * 10).watch()
    before = agent.engine.counts()["ring"]
    assert await sweep(agent) == {}
    assert agent.engine.counts()["ring"] == before


async def test_a_stall_between_two_removals_is_audited_before_the_second(world: World) -> None:
    for number in range(2):
        world.docker.add(pytorch_image(f"torch-{number}", f"team/torch:{number}"))
    agent = await due(world)

    def stall_and_lose() -> None:
        with world.docker.losing_events():
            for number in range(2):
                if f"team/torch:{number}" in [tag for image in world.docker.images.values() for tag in image.tags]:
                    world.docker.run(f"team/torch:{number}", rm=True)
        stall(agent)

    agent.engine.on("delete", stall_and_lose, after=True)
    sweeping = asyncio.create_task(sweep(agent))
    await agent.wait(5)
    with pytest.raises(EngineUnavailable):
        await sweeping
    assert len(world.docker.images) == 1


async def test_a_stall_between_the_decision_and_the_removal_leaves_the_image_whole(world: World, image: str) -> None:
    agent = await due(world)
    agent.engine.on("references", lambda: stall(agent))
    assert await sweep(agent) == {REF: Outcome.REFUSED}
    assert (agent.engine.mutations, image in world.docker.images) == ([], True)
