"""A changed policy through the sweeper: what only it evicts waits, over restarts too, and can be taken back."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.core.policy import grace
from agent.core.policy.decision import Outcome, Reason
from agent.core.policy.settings import Limits, Policy, Pressure
from agent.core.protocol.alerts import AlertId
from agent.eviction.sweeper import Pacing
from tests.support import fake_host as harness
from tests.support.builders import pytorch_image
from tests.support.fake_host import FakeHost, HostedAgent

HOUR, MINUTE = 3600.0, 60.0  # seconds
FORTNIGHT, SLIP = timedelta(days=14), timedelta(minutes=14)
GENTLY = Pacing(grace=timedelta(hours=1))
REFS = ["team/a:1", "team/b:1"]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    async with harness.fake_host(tmp_path) as made:
        for name in "ab":
            made.docker.add(pytorch_image(name))
        yield made


async def restart(host: FakeHost, ttl: timedelta = FORTNIGHT, **rules: Any) -> HostedAgent:
    """End the agent that runs, and start one with a policy on the same state."""
    for agent in host.agents:
        await agent.stop()
    return await host.agent(pacing=GENTLY, **({"ttl": ttl, "min_age": timedelta()} | rules)).start()


async def settled(host: FakeHost) -> HostedAgent:
    """An agent with a TTL of 14 days, and images that nobody used for half an hour."""
    agent = await restart(host)
    await agent.wait(HOUR / 2)
    return agent


def left(host: FakeHost) -> list[str]:
    return sorted(reference for image in host.docker.images.values() for reference in image.tags)


def alerts(agent: HostedAgent) -> list[str]:
    return list(agent.host_report.alerts)


async def test_14m_for_14d_waits_an_hour_with_an_alert_and_then_evicts(host: FakeHost) -> None:
    await settled(host)
    agent = await restart(host, SLIP)
    until = host.clock.now() + timedelta(hours=1)
    plan = await agent.plan()
    assert ([item.due for item in plan.deferred], plan.next_due) == ([until, until], until)
    assert agent.host_report.alerts[AlertId.POLICY_CHANGE].message == (
        "the policy changed: 2 images (200 MB) that only the new one evicts may go from "
        f"{until:%Y-%m-%dT%H:%M:%SZ}; until then it can be taken back"
    )
    await agent.wait(HOUR - 1)
    assert (left(host), alerts(agent)) == (REFS, [AlertId.POLICY_CHANGE])
    await agent.wait(2)
    assert (left(host), alerts(agent)) == ([], [])


async def test_a_slip_that_is_taken_back_evicts_nothing_and_clears_the_alert(host: FakeHost) -> None:
    await settled(host)
    agent = await restart(host, SLIP)
    await agent.wait(HOUR / 2)
    agent = await restart(host)
    assert (alerts(agent), (await agent.plan()).deferred) == ([], ())
    await agent.wait(2 * HOUR)
    assert left(host) == REFS


async def test_the_wait_goes_on_over_a_restart_and_does_not_begin_anew(host: FakeHost) -> None:
    await settled(host)
    await restart(host, SLIP)
    for _ in range(3):
        await host.agents[-1].wait(HOUR / 4)
        agent = await restart(host, SLIP)
        assert (left(host), alerts(agent)) == (REFS, [AlertId.POLICY_CHANGE])
    await agent.wait(HOUR / 4 + 1)
    assert (left(host), alerts(agent)) == ([], [])


async def test_the_wait_goes_on_over_a_kill(host: FakeHost) -> None:
    await settled(host)
    agent = await restart(host, SLIP)
    await agent.wait(HOUR / 2)
    await agent.kill()
    agent = await restart(host, SLIP)
    await agent.wait(HOUR / 2 - 1)
    assert left(host) == REFS
    await agent.wait(2)
    assert left(host) == []


async def test_a_second_slip_within_the_grace_waits_in_full(host: FakeHost) -> None:
    await settled(host)
    agent = await restart(host, SLIP)
    await agent.wait(HOUR / 2)
    agent = await restart(host, SLIP / 2)
    await agent.wait(HOUR - 1)
    assert left(host) == REFS
    await agent.wait(2)
    assert left(host) == []


async def test_what_the_old_policy_evicts_as_well_does_not_wait(host: FakeHost) -> None:
    await settled(host)
    agent = await restart(host, timedelta(minutes=45))
    await agent.wait(HOUR + 1)  # from here on it is the rule
    host.docker.pull(pytorch_image("c"), "team/c:1")
    await agent.wait(40 * MINUTE)
    agent = await restart(host, SLIP)
    assert left(host) == ["team/c:1"]
    await agent.wait(5 * MINUTE - 1)
    assert left(host) == ["team/c:1"]
    await agent.wait(2)
    assert left(host) == []


async def test_only_what_the_new_policy_adds_is_counted(host: FakeHost) -> None:
    await settled(host)
    host.docker.run(REFS[1], rm=True)
    agent = await restart(host, SLIP)
    message = agent.host_report.alerts[AlertId.POLICY_CHANGE].message
    assert "1 image (100 MB)" in message
    await agent.wait(SLIP.total_seconds() + 1)
    assert "2 images (200 MB)" in agent.host_report.alerts[AlertId.POLICY_CHANGE].message


async def test_the_first_policy_ever_is_none_to_wait_for(host: FakeHost) -> None:
    agent = await restart(host, SLIP)
    await agent.wait(SLIP.total_seconds() + 1)
    assert (left(host), alerts(agent)) == ([], [])


async def test_new_limits_and_another_mode_are_no_change(host: FakeHost) -> None:
    await settled(host)
    agent = await restart(host, limits=Limits(evictions_per_sweep=1), observe=True)
    assert (await agent.planner.load_context(host.clock.now())).pending_policy is None


async def test_a_memory_that_cannot_be_read_holds_everything_for_the_grace(host: FakeHost) -> None:
    agent = await restart(host, SLIP)
    await agent.store.save_policies("{")
    agent = await restart(host, SLIP)
    await agent.wait(HOUR - 1)
    assert (left(host), alerts(agent)) == (REFS, [AlertId.POLICY_CHANGE])
    await agent.wait(2)
    assert left(host) == []


async def test_pressure_that_is_new_waits_too(host: FakeHost) -> None:
    await settled(host)
    agent = await restart(host, pressure=Pressure(budget=1))
    assert (left(host), await agent.reason(pytorch_image("a").id)) == (REFS, Reason.RECENT)
    await agent.wait(HOUR + 1)
    assert left(host) == []


async def test_what_is_kept_of_the_policies_is_written_once(host: FakeHost) -> None:
    agent = await settled(host)
    kept = await agent.store.load_policies()
    agent = await restart(host)
    await agent.wait(HOUR)
    assert await agent.store.load_policies() == kept
    memory = grace.load(kept, Policy(ttl=FORTNIGHT, min_age=timedelta()), host.clock.now(), GENTLY.grace)
    assert memory.settled == memory.current


async def test_without_a_grace_a_change_acts_at_once(host: FakeHost) -> None:
    await settled(host)
    await host.agents[-1].stop()
    agent = await host.agent(ttl=SLIP, min_age=timedelta()).watch()
    assert await harness.sweep(agent) == dict.fromkeys(REFS, Outcome.REMOVED)


async def test_another_policy_to_look_at_is_no_change(host: FakeHost) -> None:
    """`plan --ttl`."""
    agent = await settled(host)
    plan = await agent.planner.plan(instead=Policy(ttl=SLIP, min_age=timedelta()))
    assert (len(plan.evictions), plan.deferred) == (2, ())
    assert (await agent.plan()).evictions == ()
    agent = await restart(host, SLIP)
    assert len((await agent.planner.plan(instead=Policy(ttl=SLIP, min_age=timedelta()))).evictions) == 2
    assert len((await agent.plan()).deferred) == 2


async def test_the_future_after_a_change_can_be_looked_at(host: FakeHost) -> None:
    """`plan --at 2h`."""
    await settled(host)
    agent = await restart(host, SLIP)
    now, later = await agent.plan(), await agent.planner.plan(ahead=timedelta(hours=2))
    assert (len(now.evictions), len(now.deferred)) == (0, 2)
    assert (len(later.evictions), len(later.deferred)) == (2, 0)
    assert left(host) == REFS
