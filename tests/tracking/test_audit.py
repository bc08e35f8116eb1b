"""A stream that loses events without ending: they are read from the engine's memory, or a gap is recorded."""

import asyncio
import time
from datetime import datetime, timedelta

import pytest

from agent.adapters.engine import EngineError, EngineUnavailable
from agent.core.policy.decision import HeldBy, Outcome
from agent.core.usage.continuity import OVERRUN, RESTARTED
from agent.tracking.stalls import BURST, LATE, TICK, StallDetector
from agent.tracking.timing import TrackingTiming
from tests.support.builders import REF, pytorch_image
from tests.support.fake_host import (
    BEYOND_TOLERANCE,
    PAST_TTL,
    TOLERANCE,
    TTL,
    FakeHost,
    HostedAgent,
    agent_past_ttl,
    sweep,
)
from tests.support.fakes.clock import FakeClock
from tests.support.times import HOUR, SECOND


def use_unseen(host: FakeHost) -> datetime:
    """A use that the stream loses."""
    with host.docker.losing_events():
        host.docker.run(REF, rm=True)
    return host.clock.now()


def stall(agent: HostedAgent) -> None:
    agent.stalls.noticed.set()


async def behind_a_proxy(host: FakeHost, tolerance: timedelta = TOLERANCE) -> HostedAgent:
    agent = host.agent(tolerance=tolerance)
    agent.engine.direct = False
    return await agent.watch()


# After a stall


async def test_a_use_lost_in_a_stall_is_taken_in_from_the_engines_memory(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    used = use_unseen(host)
    stall(agent)
    await agent.wait(5)
    assert (agent.usage(image).last_used, await agent.gaps(), agent.view.proven) == (used, [], True)
    assert agent.engine.counts()["events"] == 2  # a new stream


async def test_a_stream_that_lost_events_is_opened_anew_where_the_audit_fails_over_them(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().watch()
    used = use_unseen(host)
    agent.engine.on("ring", lambda: agent.engine.on("made_from", EngineError(500, "no")))
    auditing = asyncio.create_task(agent.ingestor.audit())
    await agent.wait(5)
    with pytest.raises(EngineError):
        await auditing
    assert (agent.usage(image).last_used, agent.engine.counts()["events"]) == (used, 2)


async def test_a_stall_that_lost_nothing_keeps_its_stream(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, rm=True)
    used = host.clock.now()
    stall(agent)
    await agent.wait(5)
    assert (agent.usage(image).last_used, await agent.gaps(), agent.engine.counts()["events"]) == (used, [], 1)
    assert not agent.stalls.check()


async def test_an_event_that_arrives_late_is_not_taken_for_lost(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    streams, host.docker.streams = host.docker.streams, []
    host.docker.create(REF, "box")
    stall(agent)
    await agent.wait(TrackingTiming().in_flight / 2)
    [stream] = streams
    stream.put_nowait(agent.engine.replay(0)[-1])
    host.docker.streams = streams
    await agent.wait(5)
    assert (agent.engine.counts()["events"], agent.stalls.check()) == (1, False)


async def test_a_loss_that_the_engine_no_longer_remembers_is_a_gap_however_short(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(HOUR)
    with host.docker.losing_events():
        host.clock.freeze(1)
        host.docker.run(REF, "forgotten", rm=True)
        host.clock.freeze(1)
        host.docker.overflow_ring()
        host.docker.run(REF, "remembered", rm=True)
    used = host.clock.now()
    stall(agent)
    await agent.wait(5)
    [(length, cause)] = await agent.gaps()
    assert (cause, timedelta() < length <= 2 * SECOND, agent.usage(image).last_used) == (OVERRUN, True, used)
    assert agent.view.gap_end == used


async def test_a_stall_under_the_tolerance_is_not_a_gap_where_no_loss_is_seen(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(HOUR)
    host.clock.freeze(2)
    host.docker.overflow_ring()
    stall(agent)
    await agent.wait(5)
    assert (await agent.gaps(), agent.view.proven, agent.stalls.check()) == ([], True, False)


async def test_a_stall_over_the_tolerance_is_a_gap_where_the_engine_forgot_what_happened(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().watch()
    await agent.wait(HOUR)
    host.clock.freeze(BEYOND_TOLERANCE)
    host.docker.overflow_ring()
    stall(agent)
    await agent.wait(5)
    assert [cause for _, cause in await agent.gaps()] == [OVERRUN]


async def test_nothing_is_evicted_between_a_stall_and_its_audit(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    agent.engine.on("ring", EngineUnavailable(0, "no answer in time"), once=False)
    stall(agent)
    plan = await agent.plan()
    assert (plan.held_by, plan.evictions) == (HeldBy.UNPROVEN, ())


async def test_a_process_that_dies_before_the_audit_leaves_the_loss_to_the_next(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    agent.engine.on("ring", agent.engine.hang, once=False)
    used = use_unseen(host)
    stall(agent)
    host.docker.create(REF, "seen after it")
    await agent.wait(30)
    await agent.kill()
    again = await host.agent().watch()
    assert (again.usage(image).last_used, await again.gaps()) == (used, [])


async def test_a_process_that_dies_before_the_audit_leaves_a_gap_where_the_engine_forgot(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    agent.engine.on("ring", agent.engine.hang, once=False)
    use_unseen(host)
    stall(agent)
    await agent.wait(BEYOND_TOLERANCE)
    host.docker.overflow_ring()
    host.docker.create(REF, "seen after it")
    await agent.wait(30)
    await agent.stop()
    again = await host.agent().watch()
    assert [cause for _, cause in await again.gaps()] == [OVERRUN]


async def test_a_stall_is_noticed_by_its_length() -> None:
    clock = FakeClock()
    found = StallDetector(monotonic=clock.monotonic)
    clock.freeze(TICK + LATE)
    assert not found.check()
    clock.freeze(0.001)
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


async def test_a_burst_of_events_is_audited(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    for _ in range(BURST):
        host.docker.emit("container", "create", "c" * 64, image=REF, name="box")
    await agent.wait(1)
    assert (agent.engine.counts()["ring"], agent.stalls.check(), await agent.gaps()) == (2, False, [])


async def test_a_blocked_event_loop_is_a_stall() -> None:
    found = StallDetector(tick=0.01, late=0.05)
    ticking = asyncio.create_task(found.run())
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251 - the block itself
    async with asyncio.timeout(30):
        await found.noticed.wait()
    ticking.cancel()


# Silence


async def test_a_stream_that_is_dead_without_an_end_is_found_within_a_minute_of_silence(
    host: FakeHost, image: str
) -> None:
    agent = await behind_a_proxy(host)
    used = use_unseen(host)
    host.docker.streams.clear()
    await agent.wait(TrackingTiming().audit_interval + 5)
    assert (agent.usage(image).last_used, await agent.gaps(), agent.engine.counts()["events"]) == (used, [], 2)


@pytest.mark.parametrize("ending", ["stop", "kill", None])
async def test_the_time_since_a_dead_stream_was_last_proven_is_blind_if_the_engine_restarts(
    host: FakeHost, image: str, ending: str | None
) -> None:
    agent = await behind_a_proxy(host, timedelta())
    host.docker.run(REF, "known", rm=True)
    await agent.wait(50)
    host.docker.streams.clear()
    host.docker.run(REF, "missed", rm=True)
    used = host.clock.now()
    host.docker.stop()
    host.docker.start()
    await agent.wait(20)
    if ending is not None:
        await getattr(agent, ending)()
        agent = await behind_a_proxy(host, timedelta())
    await agent.wait(20)
    assert {cause for _, cause in await agent.gaps()} == {RESTARTED}
    assert (await agent.decision(image)).idle_since >= used  # type: ignore[operator]


async def test_a_use_while_the_proxy_is_away_and_the_engine_restarts_is_covered_by_a_gap(
    host: FakeHost, image: str
) -> None:
    agent = await behind_a_proxy(host)
    await agent.wait(60)
    agent.engine.on("*", EngineUnavailable(900, "nobody listens"), once=False)
    host.docker.cut_streams()
    await agent.wait(70)
    host.docker.run(REF, "missed", rm=True)
    used = host.clock.now()
    host.docker.stop()
    host.docker.start()
    agent.engine.forget_hooks()
    await agent.wait(60)
    assert [cause for _, cause in await agent.gaps()] == [RESTARTED]
    assert (await agent.decision(image)).idle_since >= used  # type: ignore[operator]


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "proxied"])
async def test_health_checks_that_fill_the_engines_memory_make_no_gap_and_delay_no_eviction(
    host: FakeHost, image: str, direct: bool
) -> None:
    """Sixty of these events in ten seconds, as ten containers with a health check make: the memory lasts for 43 s."""
    agent = host.agent(tolerance=timedelta())
    agent.engine.direct = direct
    await agent.start()
    for _ in range(PAST_TTL // (10 * SECOND)):
        for _ in range(60):
            host.docker.emit("container", "exec_start", "c")
        await agent.wait(10)
    assert (await agent.gaps(), await agent.outcomes()) == ([], ["removed"])


async def test_an_engine_that_restarted_and_is_at_rest_since_is_one_gap(host: FakeHost, image: str) -> None:
    agent = await behind_a_proxy(host, timedelta(seconds=30))
    host.docker.run(REF, "known", rm=True)
    await agent.wait(50)
    host.docker.stop()
    await agent.wait(40)
    host.docker.start()
    await agent.wait(HOUR)
    assert [cause for _, cause in await agent.gaps()] == [RESTARTED]


# Before a removal


async def test_a_use_lost_just_before_a_sweep_keeps_its_image(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    used = use_unseen(host)
    sweeping = asyncio.create_task(sweep(agent))
    await agent.wait(5)
    with pytest.raises(EngineUnavailable, match="lost 4 events"):
        await sweeping
    assert (agent.usage(image).last_used, image in host.docker.images) == (used, True)
    assert (agent.engine.counts()["events"], agent.view.proven) == (2, True)
    assert await sweep(agent) == {}


async def test_a_sweep_audits_once_before_its_first_removal(host: FakeHost) -> None:
    for number in range(3):
        host.docker.add(pytorch_image(f"torch-{number}", f"team/torch:{number}"))
    agent = await agent_past_ttl(host)
    before = agent.engine.counts()["ring"]
    assert len(await sweep(agent)) == 3
    assert agent.engine.counts()["ring"] == before + 1


async def test_a_sweep_with_nothing_to_remove_asks_nothing(host: FakeHost, image: str) -> None:
    agent = await host.agent(ttl=TTL * 10).watch()
    before = agent.engine.counts()["ring"]
    assert await sweep(agent) == {}
    assert agent.engine.counts()["ring"] == before


async def test_a_stall_between_two_removals_is_audited_before_the_second(host: FakeHost) -> None:
    for number in range(2):
        host.docker.add(pytorch_image(f"torch-{number}", f"team/torch:{number}"))
    agent = await agent_past_ttl(host)

    def stall_and_lose() -> None:
        with host.docker.losing_events():
            for number in range(2):
                if f"team/torch:{number}" in [tag for image in host.docker.images.values() for tag in image.tags]:
                    host.docker.run(f"team/torch:{number}", rm=True)
        stall(agent)

    agent.engine.on("delete", stall_and_lose, after=True)
    sweeping = asyncio.create_task(sweep(agent))
    await agent.wait(5)
    with pytest.raises(EngineUnavailable):
        await sweeping
    assert len(host.docker.images) == 1


async def test_a_stall_between_the_decision_and_the_removal_leaves_the_image_whole(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    agent.engine.on("references", lambda: stall(agent))
    assert await sweep(agent) == {REF: Outcome.REFUSED}
    assert (agent.engine.mutations, image in host.docker.images) == ([], True)
