"""A clock that jumps and a machine that was off: evictions are delayed, and a gap is reported."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from agent.adapters import boot
from agent.adapters.state_errors import StateFull
from agent.core.policy.decision import HeldBy, Reason
from agent.core.timekeeping import SETTLING, ClockReading, MachineOff
from agent.core.usage.continuity import RESTARTED, Boot
from agent.eviction.timing import EvictionTiming
from tests.support.builders import REF
from tests.support.fake_host import PAST_TTL, FakeHost, HostedAgent
from tests.support.fakes.clock import Span
from tests.support.times import DAY, HOUR, MINUTE, SECOND

NIGHT = 300.0  # seconds that a reboot takes


@pytest.fixture(autouse=True)
def shutdowns(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The orderly shutdowns that the machine recorded, oldest first."""
    recorded: list[datetime] = []

    def last(now: ClockReading) -> Boot:
        return Boot(id=now.boot, at=now.booted_at, shutdown=recorded[-1] if recorded else None)

    monkeypatch.setattr(boot, "last", last)
    return recorded


async def reboot(
    host: FakeHost, agent: HostedAgent, off: Span, *, orderly: bool = True, record: list[datetime] | None = None
) -> None:
    """The machine reboots, and the engine with it. `record` gets the time of the shutdown."""
    await (agent.stop() if orderly else agent.kill())
    host.docker.stop()
    if record is not None:
        record.append(host.clock.now())
    await host.clock.advance(off)
    host.clock.reboot()
    host.docker.start()


async def held_by(agent: HostedAgent) -> HeldBy | None:
    return (await agent.plan()).held_by


async def test_a_jump_of_the_clock_that_could_not_be_recorded_is_recorded_later(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.clock.jump(DAY)
    agent.faults.fail_once("record_gap")
    with pytest.raises(StateFull):
        await agent.plan()
    await agent.plan()
    assert (agent.view.gap_end, len(await agent.gaps())) == (host.clock.now(), 1)


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
async def test_a_jump_of_the_clock_delays_evictions_until_it_was_steady(
    host: FakeHost, image: str, jump: timedelta
) -> None:
    agent = await host.agent().start()
    host.clock.jump(jump)
    assert await held_by(agent) is HeldBy.CLOCK
    await agent.wait(SETTLING - 1)
    assert await held_by(agent) is HeldBy.CLOCK
    await agent.wait(1)
    assert await held_by(agent) is None


async def test_a_jump_forward_makes_nothing_idle(host: FakeHost, image: str) -> None:
    agent = await host.agent().start()
    host.clock.jump(DAY)
    await agent.wait(PAST_TTL - 2 * MINUTE)
    assert (await agent.reason(image), await agent.outcomes()) == (Reason.GAP, [])
    await agent.wait(120)
    assert await agent.outcomes() == ["removed"]


@pytest.mark.parametrize(("jump", "way"), [(DAY, "forward"), (-DAY, "back")])
async def test_a_jump_is_published_as_a_gap(host: FakeHost, image: str, jump: timedelta, way: str) -> None:
    agent = await host.agent().start()
    host.clock.jump(jump)
    await agent.wait(20)
    assert await agent.gaps() == [(DAY, f"the clock jumped {way} by 1 d")]


async def test_after_a_step_back_uses_are_recorded_and_idle_images_are_still_evicted(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().start()
    host.docker.run("team/torch:1", "before", rm=True)
    await agent.wait()
    host.clock.jump(-DAY)
    await agent.wait(20)
    host.docker.run(REF, "after", rm=True)
    await agent.wait()
    await agent.kill()
    again = await host.agent().start()
    assert again.view.proven
    await again.wait(DAY + PAST_TTL)
    assert await again.outcomes() == ["removed"]


async def test_a_clock_that_was_set_while_the_agent_was_away_is_noticed(host: FakeHost, image: str) -> None:
    agent = await host.agent().start()
    await agent.stop()
    host.clock.jump(DAY)
    again = await host.agent().start()
    assert await held_by(again) is HeldBy.CLOCK
    assert ("the clock jumped forward by 1 d") in [cause for _, cause in await again.gaps()]
    assert image in host.docker.images


async def test_a_slow_correction_of_the_clock_is_not_a_jump(host: FakeHost, image: str) -> None:
    agent = await host.agent().start()
    for _ in range(10):
        host.clock.jump(0.01)
        await agent.wait(20)
    assert (await held_by(agent), await agent.gaps()) == (None, [])


async def test_an_engine_with_another_time_delays_evictions(host: FakeHost, image: str) -> None:
    agent = host.agent()
    connect = agent.engine.connect

    async def late():  # type: ignore[no-untyped-def]
        return replace(await connect(), time=host.clock.now() + MINUTE)

    agent.engine.connect = late  # type: ignore[method-assign]
    await agent.start()
    assert await held_by(agent) is HeldBy.CLOCK


async def test_a_machine_that_was_off_for_a_month_evicts_nothing_because_of_it(host: FakeHost, image: str) -> None:
    agent = await host.agent(ttl=timedelta(days=14)).start()
    await reboot(host, agent, 30 * DAY)
    again = await host.agent(ttl=timedelta(days=14)).start()
    (off,) = again.view.absences
    assert off == MachineOff(off.since, off.since + timedelta(days=30, seconds=-1))
    assert (await again.reason(image), await again.outcomes()) == (Reason.RECENT, [])


async def test_a_machine_that_reboots_every_night_still_evicts_after_its_ttl(
    host: FakeHost, image: str, shutdowns: list[datetime]
) -> None:
    """With days of an hour, because a heartbeat every 15 s costs real time."""
    days, ttl = 0, timedelta(hours=3)
    while image in host.docker.images and days < 6:
        agent = await host.agent(ttl=ttl).start()
        await agent.wait(HOUR)
        await reboot(host, agent, NIGHT, record=shutdowns)
        days += 1
    assert days == 3


async def test_a_crash_of_the_machine_is_blind_until_the_boot(host: FakeHost, image: str) -> None:
    agent = await host.agent().start()
    await agent.wait(60)
    await reboot(host, agent, HOUR, orderly=False)
    again = await host.agent().start()
    (length, cause) = (await again.gaps())[0]
    assert (HOUR - MINUTE <= length <= HOUR + 20 * SECOND, cause) == (True, "the engine restarted while nobody watched")


async def test_a_reboot_that_ends_the_engine_before_the_agent_is_not_a_gap(
    host: FakeHost, image: str, shutdowns: list[datetime]
) -> None:
    agent = await host.agent().start()
    await agent.wait(60)
    host.docker.stop()
    await agent.wait(5)
    await reboot(host, agent, NIGHT, record=shutdowns)
    again = await host.agent().start()
    assert await again.gaps() == []


async def test_a_use_between_the_stop_of_the_agent_and_an_unrecorded_reboot_is_covered_by_a_gap(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().start()
    await agent.wait(60)
    await agent.stop()
    await host.clock.advance(200)
    host.docker.run(REF, "missed", rm=True)
    used = host.clock.now()
    await reboot(host, agent, 120)
    again = await host.agent().start()
    assert [cause for _, cause in await again.gaps()] == [RESTARTED]
    assert (await again.decision(image)).idle_since >= used  # type: ignore[operator]


async def test_a_use_before_a_recorded_shutdown_is_covered_by_a_gap_that_ends_with_it(
    host: FakeHost, image: str, shutdowns: list[datetime]
) -> None:
    agent = await host.agent().start()
    await agent.wait(60)
    await agent.stop()
    stopped = host.clock.now()
    await host.clock.advance(200)
    host.docker.run(REF, "missed", rm=True)
    await reboot(host, agent, 120, record=shutdowns)
    again = await host.agent().start()
    (gap,) = [event.data for event in await again.events("torchkeeper.gap")]
    assert (datetime.fromisoformat(gap["since"]), datetime.fromisoformat(gap["until"])) == (stopped, shutdowns[-1])


async def test_a_boot_long_after_the_engine_ended_is_a_gap(host: FakeHost, image: str) -> None:
    agent = await host.agent().start()
    await agent.wait(60)
    host.docker.stop()
    await agent.wait(5)
    await reboot(host, agent, HOUR)
    again = await host.agent().start()
    assert [cause for _, cause in await again.gaps()] == [RESTARTED]


# Suspension


async def test_a_suspension_of_a_month_evicts_nothing_because_of_it(host: FakeHost, image: str) -> None:
    agent = await host.agent(ttl=timedelta(days=14)).start()
    await agent.wait(60)
    host.clock.suspend(30 * DAY)
    await agent.wait(20)
    assert (await agent.reason(image), await agent.outcomes()) == (Reason.RECENT, [])
    assert [off.until - off.since for off in agent.view.absences] == [timedelta(days=30)]


async def test_a_suspension_is_not_idle_time_for_the_next_process_either(host: FakeHost, image: str) -> None:
    agent = await host.agent(ttl=timedelta(days=14)).start()
    await agent.wait(60)
    host.clock.suspend(30 * DAY)
    await agent.wait(20)
    await agent.stop()
    again = await host.agent(ttl=timedelta(days=14)).start()
    assert (await again.reason(image), len(again.view.absences)) == (Reason.RECENT, 1)


async def test_a_suspension_while_the_agent_was_away_is_not_idle_time(host: FakeHost, image: str) -> None:
    agent = await host.agent(ttl=timedelta(days=14)).start()
    await agent.wait(60)
    await agent.stop()
    host.clock.suspend(30 * DAY)
    again = await host.agent(ttl=timedelta(days=14)).start()
    assert (await again.reason(image), len(again.view.absences)) == (Reason.RECENT, 1)


async def test_a_suspension_of_less_than_a_day_is_idle_time(host: FakeHost, image: str) -> None:
    agent = await host.agent(ttl=timedelta(hours=12)).start()
    host.clock.suspend(DAY - MINUTE)
    await agent.wait(EvictionTiming().max_sleep)
    assert (agent.view.absences, await agent.outcomes()) == ((), ["removed"])


async def test_a_suspension_is_counted_once_though_the_end_of_the_watch_could_not_be_noted(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent(ttl=timedelta(days=14)).start()
    await agent.wait(60)
    agent.engine.on("ring", agent.engine.hang)
    agent.stalls.noticed.set()
    host.clock.suspend(30 * DAY)
    await agent.plan()
    host.docker.cut_streams()
    await agent.wait(60)
    assert (agent.view.proven, len(agent.view.absences)) == (True, 1)
