"""Plan, recheck, evict, record: which images are evicted, which stay, and in which order it is written down."""

import asyncio
from typing import Any

import pytest

from agent.adapters import overrides
from agent.adapters.engine import Conflict, EngineUnavailable
from agent.core.policy.decision import Outcome, Reason
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Rule
from agent.core.protocol import payloads
from tests.support.builders import REF, pytorch_image
from tests.support.fake_host import PAST_TTL, FakeHost, HostedAgent, agent_past_ttl, sweep
from tests.support.fakes.docker import FakeDocker

# What is written, and when


async def test_an_idle_image_is_evicted_and_everything_is_recorded(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    assert await sweep(agent) == {REF: Outcome.REMOVED}
    assert host.docker.images == {}
    decision, outcome, swept = await agent.events()
    assert (decision.data["reason"], decision.data["explanation"]) == (
        "idle-ttl",
        "idle 21 min, TTL 20 min; frees about 100 MB",
    )
    assert (outcome.data["outcome"], outcome.data["decision_id"]) == ("removed", decision.data["decision_id"])
    assert (swept.data["reasons"], swept.data["outcomes"]) == ({}, {"removed": 1})


async def test_the_decision_is_on_disk_before_the_engine_is_touched(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    written: list[tuple[int, int]] = []

    def look() -> None:
        counts = (host.db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("events", "removals"))
        events, removals = counts
        written.append((events, removals))

    agent.engine.on("references", look)
    agent.engine.on("delete", look, after=True)
    await sweep(agent)
    assert written == [(1, 1), (1, 1)]


async def test_the_events_wait_for_the_broker_in_order(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    agent.store.appended.clear()
    await sweep(agent)
    assert agent.store.appended.is_set()
    assert [row.seq for row in await agent.store.unsent(0, 99)] == [1, 2, 3]


async def test_a_sweep_that_touches_nothing_writes_no_event(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await sweep(agent)
    assert await agent.events() == []
    assert agent.host_report.inventory is not None


async def test_an_image_that_the_agent_removed_is_shown_as_gone(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    await sweep(agent)
    assert agent.host_report.inventory is not None
    shown = await agent.host_report.inventory.built()
    assert shown.images == []
    assert [(item.references, item.outcome) for item in shown.decisions] == [([REF], "removed")]


async def test_the_least_recently_used_is_evicted_first(host: FakeHost) -> None:
    for number, _ in enumerate(range(3)):
        host.docker.add(pytorch_image(f"torch-{number}", f"team/torch:{number}"))
    agent = await host.agent().watch()
    for number in (1, 0):
        await agent.wait(1)
        host.docker.run(f"team/torch:{number}", rm=True)
    await agent.wait(PAST_TTL)
    await sweep(agent)
    gone = [event.data["image"]["references"][0] for event in await agent.events(payloads.DecisionData.type)]
    assert gone == ["team/torch:2", "team/torch:1", "team/torch:0"]


# The recheck


@pytest.mark.parametrize("call", ["containers", "images"])
async def test_a_container_created_between_plan_and_act_keeps_the_image(host: FakeHost, image: str, call: str) -> None:
    agent = await agent_past_ttl(host)
    agent.engine.on(call, lambda: host.docker.create(REF))
    assert await sweep(agent) == {}
    assert (await agent.reason(image), agent.engine.mutations, await agent.events()) == (Reason.IN_USE, [], [])


async def test_a_use_between_plan_and_act_keeps_the_image(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    agent.engine.on("containers", lambda: host.docker.run(REF, rm=True))
    assert await sweep(agent) == {}
    await agent.wait()
    assert await agent.reason(image) is Reason.RECENT


async def test_a_container_created_while_the_engine_deletes_keeps_the_image(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    agent.engine.on("delete", lambda: host.docker.create(REF))
    assert await sweep(agent) == {REF: Outcome.REFUSED}
    assert host.docker.images[image].tags == [REF]


async def test_a_tag_that_moves_between_plan_and_act_keeps_the_image(host: FakeHost, image: str) -> None:
    other = host.docker.add(pytorch_image("other", "team/other:latest"))
    agent = await agent_past_ttl(host)
    agent.engine.on("containers", lambda: host.docker.tag(other, REF))
    assert await sweep(agent) == {}
    assert {image, other} <= set(host.docker.images)


async def test_a_pull_between_two_evictions_keeps_the_second_image(host: FakeHost, image: str) -> None:
    second = pytorch_image("second", "team/second:1")
    host.docker.add(second)
    agent = await agent_past_ttl(host)
    first = (await agent.plan()).evictions[0].image.id
    other = second.id if first == image else image
    agent.engine.on("delete", lambda: host.docker.emit("image", "pull", other, name=other), after=True)
    await sweep(agent)
    assert set(host.docker.images) == {other}


async def test_a_pin_set_between_plan_and_act_keeps_the_image(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    pin = Pin(id=image, reference=REF, at=host.clock.now())
    agent.engine.on("containers", lambda: overrides.change(host.folder, lambda _: Overrides(pins=(pin,))))
    assert await sweep(agent) == {}
    assert await agent.reason(image) is Reason.PINNED


async def test_a_stream_that_ends_between_plan_and_act_keeps_the_image(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)

    async def cut() -> None:
        host.docker.cut_streams()
        await host.clock.sleep(0.1)

    agent.engine.on("containers", cut)
    with pytest.raises(EngineUnavailable):
        await _while_waiting(agent, 5)
    assert set(host.docker.images) == {image}


async def _while_waiting(agent: HostedAgent, seconds: float) -> None:
    task = asyncio.create_task(agent.sweeper.sweep())
    await agent.wait(seconds)
    await task


# Parents and children


async def test_a_child_is_evicted_before_the_parent_that_it_was_built_on(host: FakeHost, image: str) -> None:
    host.docker.build("team/child:1", REF, classic=True)
    agent = await agent_past_ttl(host, evict_local=True)
    assert await sweep(agent) == {"team/child:1": Outcome.REMOVED, REF: Outcome.REMOVED}
    assert [call.argument for call in agent.engine.mutations][-1] == image


async def test_a_parent_whose_child_stays_stays(host: FakeHost, image: str) -> None:
    host.docker.build("team/child:stable", REF, classic=True)
    agent = await agent_past_ttl(host, evict_local=True)
    assert await sweep(agent) == {}
    assert await agent.reason(image) is Reason.HAS_CHILDREN


async def test_an_untagged_step_is_evicted_with_the_last_image_built_on_it(host: FakeHost, image: str) -> None:
    step = host.docker.build("team/step:1", REF, classic=True)
    child = host.docker.build("team/child:1", "team/step:1", classic=True)
    host.docker.images[step].tags = []
    agent = await agent_past_ttl(host, rules=(Rule(match="team/child:*", evict_local=True),), protect=(REF,))
    await sweep(agent)
    assert set(host.docker.images) == {image}
    decisions = [(event.subject, event.data["reason"]) for event in await agent.events(payloads.DecisionData.type)]
    assert decisions == [(child, "idle-ttl"), (step, "dangling")]


STEPS_MAY_GO: dict[str, Any] = {"rules": (Rule(match="team/child:*", evict_local=True),), "protect": (REF,)}


def build_of_two_steps(docker: FakeDocker) -> tuple[str, str]:
    """What the classic builder does: a container of its own for each step. The IDs of the step and the image."""
    docker.run(REF, rm=True)
    step = docker.build("", REF, classic=True)
    docker.run(step, rm=True)
    return step, docker.build("team/child:1", step, classic=True)


async def test_a_step_whose_build_was_watched_is_evicted_with_its_image_as_soon_as_that_is_due(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent(**STEPS_MAY_GO).watch()
    await agent.wait(60)
    step, child = build_of_two_steps(host.docker)
    await agent.wait(60)
    due = (await agent.decision(child)).due
    assert due is not None
    assert agent.usage(step).first_seen > agent.usage(child).first_seen  # it is listed after the build has ended
    await agent.wait((due - host.clock.now()).total_seconds())
    await agent.sweeper.sweep()
    assert set(host.docker.images) == {image}


async def test_a_step_that_a_container_used_within_its_ttl_stays_when_its_image_is_evicted(
    host: FakeHost, image: str
) -> None:
    step, _ = build_of_two_steps(host.docker)
    agent = await agent_past_ttl(host, **STEPS_MAY_GO)
    host.docker.run(step, rm=True)
    await agent.wait()
    await agent.sweeper.sweep()
    assert set(host.docker.images) == {image, step}
    assert await agent.reason(step) is Reason.LOCAL_ONLY


async def test_a_parent_that_docker_commit_made_stays_when_its_image_is_evicted(host: FakeHost, image: str) -> None:
    cid = host.docker.create(REF)
    commit = host.docker.commit(cid)
    host.docker.remove(cid)
    host.docker.build("team/child:1", commit, classic=True)
    agent = await agent_past_ttl(host, **STEPS_MAY_GO)
    await agent.sweeper.sweep()
    assert set(host.docker.images) == {image, commit}


async def test_a_parent_waits_where_its_child_was_refused(host: FakeHost, image: str) -> None:
    child = host.docker.build("team/child:1", REF, classic=True)
    agent = await agent_past_ttl(host, evict_local=True)
    agent.engine.on("delete", Conflict(409, "in use"))
    assert await sweep(agent) == {"team/child:1": Outcome.REFUSED}
    assert set(host.docker.images) == {image, child}
