"""Disk pressure through the sweeper: measured after each removal, ended at `low`, reported if it cannot end."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.adapters import disk, overrides
from agent.adapters.engine import Conflict
from agent.core.policy import schedule
from agent.core.policy.decision import HeldBy, Outcome
from agent.core.policy.disk import DiskUsage
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.schedule import Schedule
from agent.core.policy.settings import Limits, Pressure
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.eviction.sweeper import Pacing
from agent.eviction.timing import EvictionTiming
from tests.support.builders import MB, pytorch_image
from tests.support.fake_host import MIN_AGE, FakeHost, HostedAgent, fake_host, names_of, sweep
from tests.support.times import HOUR, SECOND

TOTAL = 1000 * MB  # bytes of the disk
HIGH_LOW = Pressure(high=0.85, low=0.75)
TTL = timedelta(days=14)
REFS = [f"team/{name}:1" for name in "abcd"]
TIMING = EvictionTiming()
AGE = MIN_AGE + SECOND


class Disk:
    """The engine's file system: what is written by others, and 100 MB for each image."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.other_bytes = 300 * MB
        self.image_bytes = 100 * MB  # what an image really takes
        self.seen = True

    def space(self, _root: str) -> DiskUsage | None:
        used = self.other_bytes + self.image_bytes * len(self.host.docker.images)
        return DiskUsage(used_bytes=used, available_bytes=TOTAL - used) if self.seen else None


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    async with fake_host(tmp_path) as made:
        for reference in REFS:
            made.docker.add(pytorch_image(reference[5], reference))
        yield made


@pytest.fixture
def disk_of(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """70 % full."""
    made = Disk(host)
    monkeypatch.setattr(disk, "space", made.space)
    return made


async def agent_past_min_age(host: FakeHost, **rules: Any) -> HostedAgent:
    """An agent, past min_age of everything. The images were used in the order a, b, c, d."""
    defaults: dict[str, Any] = {"ttl": TTL, "pressure": HIGH_LOW}
    agent = await host.agent(**(defaults | rules)).watch()
    for reference in REFS:
        host.docker.run(reference, rm=True)
        await agent.wait()
    await agent.wait(AGE)
    return agent


def left(host: FakeHost) -> list[str]:
    return sorted(reference for image in host.docker.images.values() for reference in image.tags)


# Until low


async def test_below_high_nothing_is_evicted(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes = 450 * MB  # 85 %
    assert (await sweep(agent), left(host)) == ({}, REFS)


async def test_above_high_the_least_recently_used_are_evicted_until_low(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes = 460 * MB
    plan = await agent.plan()
    assert (names_of(plan.evictions), plan.under_pressure) == (REFS[:2], True)
    assert await sweep(agent) == dict.fromkeys(REFS[:2], Outcome.REMOVED)
    assert (left(host), list(agent.host_report.alerts)) == (REFS[2:], [])
    decisions = [
        (event.data["reason"], event.data["explanation"]) for event in await agent.events(payloads.DecisionData.type)
    ]
    assert [(reason, sentence.split(";")[0]) for reason, sentence in decisions] == [
        ("disk-pressure", "disk 86% full (high 85%, low 75%)"),
        ("disk-pressure", "disk 76% full (high 85%, low 75%)"),
    ]


async def test_the_dry_run_shows_what_the_sweep_does(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes = 460 * MB
    dry = await agent.sweeper.sweep(dry_run=True)
    done = await agent.sweeper.sweep()
    assert list(dry.outcomes) == list(done.outcomes)
    assert set(dry.outcomes.values()) == {Outcome.WOULD_REMOVE}


async def test_it_stops_early_where_more_was_freed_than_estimated(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes, disk_of.image_bytes = 60 * MB, 200 * MB  # 86 %
    assert names_of((await agent.plan()).evictions) == REFS[:2]
    assert await sweep(agent) == {REFS[0]: Outcome.REMOVED}


async def test_it_continues_where_less_was_freed_than_estimated(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes, disk_of.image_bytes = 700 * MB, 40 * MB  # 86 %
    assert names_of((await agent.plan()).evictions) == REFS[:2]
    assert await sweep(agent) == dict.fromkeys(REFS[:3], Outcome.REMOVED)


async def test_it_continues_where_the_disk_fills_meanwhile(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes = 460 * MB

    def write() -> None:
        disk_of.other_bytes += 100 * MB

    agent.engine.on("delete", write, nth=2, after=True)
    assert await sweep(agent) == dict.fromkeys(REFS[:3], Outcome.REMOVED)


async def test_an_image_used_meanwhile_stays_and_the_next_is_evicted(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes = 460 * MB
    agent.engine.on("delete", lambda: host.docker.create(REFS[1]), after=True)
    assert await sweep(agent) == {REFS[0]: Outcome.REMOVED, REFS[2]: Outcome.REMOVED}


async def test_an_image_that_is_refused_is_passed_over(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes = 460 * MB
    agent.engine.on("delete", Conflict(409, "in use"))
    assert await sweep(agent) == {REFS[0]: Outcome.REFUSED, REFS[1]: Outcome.REMOVED}


async def test_between_low_and_high_it_continues_only_if_it_had_begun(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host, limits=Limits(evictions_per_sweep=1))
    disk_of.other_bytes = 400 * MB  # 80 %
    assert await sweep(agent) == {}
    disk_of.other_bytes = 460 * MB
    assert await sweep(agent) == {REFS[0]: Outcome.REMOVED}
    await agent.wait(60)
    assert await sweep(agent) == {REFS[1]: Outcome.REMOVED}  # at 76 %
    disk_of.other_bytes = 600 * MB  # 80 %
    await agent.wait(60)
    assert await sweep(agent) == {}
    assert left(host) == REFS[2:]


async def test_a_budget_works_although_the_disk_cannot_be_seen(host: FakeHost, disk_of: Disk) -> None:
    disk_of.seen = False
    agent = await agent_past_min_age(host, pressure=Pressure(budget=250 * MB))
    assert await sweep(agent) == dict.fromkeys(REFS[:2], Outcome.REMOVED)
    assert list(agent.host_report.alerts) == []


async def test_observe_mode_reports_what_would_be_evicted(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host, observe=True)
    disk_of.other_bytes = 460 * MB
    assert await sweep(agent) == dict.fromkeys(REFS[:2], Outcome.WOULD_REMOVE)
    assert (agent.engine.mutations, left(host)) == ([], REFS)


async def test_the_engine_is_left_alone_between_two_removals(host: FakeHost, disk_of: Disk) -> None:
    agent = host.agent(pacing=Pacing(pause=timedelta(seconds=20)), ttl=TTL, pressure=HIGH_LOW)
    await agent.start()
    await agent.wait(AGE)
    disk_of.other_bytes = 460 * MB
    await agent.wait(TIMING.disk_poll + 1)
    assert len(left(host)) == 3
    await agent.wait(20)
    assert len(left(host)) == 2


# What is reported


async def test_where_nothing_may_be_evicted_an_alert_names_what_keeps_how_many_bytes(
    host: FakeHost, disk_of: Disk
) -> None:
    agent = await agent_past_min_age(host, protect=("team/c:*", "team/d:*"))
    host.docker.create(REFS[1])
    overrides.change(
        host.folder,
        lambda _: Overrides(pins=(Pin(id=pytorch_image("a").id, reference="", at=host.clock.now()),)),
    )
    await agent.wait()
    disk_of.other_bytes = 500 * MB
    assert await sweep(agent) == {}
    alert = agent.host_report.alerts[AlertId.DISK_FULL_NOTHING_EVICTABLE]
    assert (alert.severity, alert.message) == (
        "critical",
        "disk 90% full (high 85%, low 75%), and nothing may be evicted now: "
        "protected-tag 200 MB, in-use 100 MB, pinned 100 MB",
    )


async def test_while_something_may_be_evicted_there_is_no_alert(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes = 460 * MB
    await agent.steps.reporter.show(await agent.plan())
    assert agent.host_report.alerts == {}


async def test_the_alert_ends_with_the_pressure(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host, protect=("*",))
    disk_of.other_bytes = 500 * MB
    await sweep(agent)
    assert list(agent.host_report.alerts) == [AlertId.DISK_FULL_NOTHING_EVICTABLE]
    disk_of.other_bytes = 360 * MB  # 76 %: still above low
    await sweep(agent)
    assert list(agent.host_report.alerts) == [AlertId.DISK_FULL_NOTHING_EVICTABLE]
    disk_of.other_bytes = 350 * MB
    await sweep(agent)
    assert list(agent.host_report.alerts) == []


async def test_the_alert_comes_where_all_that_could_be_evicted_was_too_little(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes = 950 * MB
    disk_of.image_bytes = 0
    assert await sweep(agent) == dict.fromkeys(REFS, Outcome.REMOVED)
    assert agent.host_report.alerts[AlertId.DISK_FULL_NOTHING_EVICTABLE].message.endswith("no image takes any space")


async def test_a_disk_that_cannot_be_seen_is_reported_and_nothing_is_evicted(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    disk_of.other_bytes, disk_of.seen = 600 * MB, False
    assert (await sweep(agent), list(agent.host_report.alerts)) == ({}, [AlertId.PRESSURE_UNSEEN])
    assert "cannot be seen" in agent.host_report.alerts[AlertId.PRESSURE_UNSEEN].message
    disk_of.seen = True
    assert await sweep(agent) == dict.fromkeys(REFS[:3], Outcome.REMOVED)
    assert list(agent.host_report.alerts) == []


# When it looks


async def test_a_disk_that_fills_without_any_event_is_noticed(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host)
    await agent.start()
    await agent.wait(2 * TIMING.disk_poll)
    disk_of.other_bytes = 460 * MB
    await agent.wait(TIMING.disk_poll + 1)
    assert left(host) == REFS[2:]


async def test_without_high_nobody_looks_at_the_disk(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host, pressure=Pressure())
    await agent.start()
    disk_of.other_bytes = 600 * MB
    await agent.wait(10 * TIMING.disk_poll)
    assert left(host) == REFS


async def test_under_pressure_it_looks_again_every_minute(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host, protect=("*",))
    await agent.start()
    disk_of.other_bytes = 500 * MB
    await agent.wait(TIMING.disk_poll + 1)
    assert list(agent.host_report.alerts) == [AlertId.DISK_FULL_NOTHING_EVICTABLE]
    disk_of.other_bytes = 300 * MB  # without an event
    await agent.wait(TIMING.pressure_retry)
    assert list(agent.host_report.alerts) == []


async def test_what_a_limit_kept_back_is_evicted_a_minute_later(host: FakeHost, disk_of: Disk) -> None:
    agent = await agent_past_min_age(host, limits=Limits(evictions_per_sweep=1))
    await agent.start()
    disk_of.other_bytes = 460 * MB
    await agent.wait(TIMING.disk_poll + 1)
    assert left(host) == REFS[1:]
    await agent.wait(60)
    assert left(host) == REFS[2:]


# Windows


async def test_pressure_waits_for_the_window(host: FakeHost, disk_of: Disk) -> None:
    night = Schedule(windows=(schedule.parse("12:30-13:00"),))  # the clock starts at 12:00
    agent = await agent_past_min_age(host, schedule=night)
    await agent.start()
    disk_of.other_bytes = 460 * MB
    await agent.wait(60)
    plan = await agent.plan()
    opens = host.clock.now().replace(hour=12, minute=30, second=0, microsecond=0)
    assert (plan.held_by, plan.opens, plan.next_due, plan.evictions) == (HeldBy.WINDOW, opens, opens, ())
    assert [item.held_by for item in plan.decisions] == [HeldBy.WINDOW, HeldBy.WINDOW, None, None]
    assert "(held: window)" in agent.host_report.alerts[AlertId.DISK_FULL_NOTHING_EVICTABLE].message
    await agent.wait(opens - host.clock.now() - SECOND)
    assert left(host) == REFS
    await agent.wait(2)
    assert (left(host), list(agent.host_report.alerts)) == (REFS[2:], [])


async def test_a_window_that_shuts_in_the_middle_of_a_sweep_ends_it(host: FakeHost, disk_of: Disk) -> None:
    noon = Schedule(windows=(schedule.parse("12:00-12:10"),))
    agent = host.agent(pacing=Pacing(pause=timedelta(minutes=9)), ttl=TTL, pressure=HIGH_LOW, schedule=noon)
    await agent.start()
    await agent.wait(AGE)
    disk_of.other_bytes = 460 * MB
    await agent.wait(HOUR)
    assert len(left(host)) == 3
    assert (await agent.plan()).held_by is HeldBy.WINDOW
