"""Why a due eviction waits: observe mode, pauses, an unproven stream, refusals, errors."""

import asyncio
from datetime import timedelta

import pytest

from agent.adapters import overrides
from agent.adapters.engine import Conflict, EngineError, EngineUnavailable
from agent.core.policy import schedule
from agent.core.policy.decision import HeldBy, Outcome
from agent.core.policy.overrides import Overrides
from agent.core.policy.schedule import Schedule
from agent.core.protocol import payloads
from tests.support import overrides_by_hand
from tests.support.builders import REF, pytorch_image
from tests.support.fake_host import PAST_TTL, FakeHost, agent_past_ttl, event_types, sweep
from tests.support.times import DAY, HOUR, MINUTE, SECOND

# Why an eviction waits


async def test_observe_writes_the_decision_once_and_removes_nothing(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host, observe=True)
    assert [await sweep(agent) for _ in range(3)] == [{REF: Outcome.WOULD_REMOVE}, {}, {}]
    assert (await event_types(agent), await agent.outcomes()) == (["decision", "outcome", "sweep"], ["would-remove"])
    assert (agent.engine.mutations, set(host.docker.images)) == ([], {image})


async def test_observe_decides_anew_after_a_use(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host, observe=True)
    await sweep(agent)
    host.docker.run(REF, rm=True)
    await agent.wait()
    await agent.wait(PAST_TTL)
    await sweep(agent)
    assert await agent.outcomes() == ["would-remove", "would-remove"]


async def test_on_an_engine_that_is_only_observed_nothing_is_removed_whatever_the_mode_until_it_is_another(
    host: FakeHost, image: str
) -> None:
    host.docker.observe_only = "this is another engine"
    agent = await agent_past_ttl(host)
    assert await sweep(agent) == {REF: Outcome.WOULD_REMOVE}
    [decision] = [event.data for event in await agent.events("torchkeeper.decision")]
    assert (decision["mode"], decision["held_by"]) == ("observe", "observe")
    alert = agent.host_report.alerts["engine-observe-only"]
    assert alert.message == "nothing is removed here, whatever agent.mode says: this is another engine"
    assert (agent.engine.mutations, set(host.docker.images)) == ([], {image})
    host.docker.observe_only = ""
    await agent.engine.close()  # and connects again
    await agent.wait(60)
    assert await sweep(agent) == {REF: Outcome.REMOVED}
    assert "engine-observe-only" not in agent.host_report.alerts


async def test_observe_mode_that_was_configured_raises_no_alert(host: FakeHost, image: str) -> None:
    host.docker.observe_only = "this is another engine"
    agent = await agent_past_ttl(host, observe=True)
    assert await sweep(agent) == {REF: Outcome.WOULD_REMOVE}
    assert "engine-observe-only" not in agent.host_report.alerts


async def test_a_dry_run_writes_nothing(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    done = await agent.sweeper.sweep(dry_run=True)
    assert (done.outcomes, await agent.events()) == ({image: Outcome.WOULD_REMOVE}, [])
    assert set(host.docker.images) == {image}


async def test_while_paused_nothing_is_evicted(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    until = host.clock.now() + HOUR
    overrides.change(host.folder, lambda _: Overrides(paused=True, paused_at=host.clock.now(), paused_until=until))
    assert (await sweep(agent), (await agent.plan()).held_by) == ({}, HeldBy.PAUSED)
    await agent.wait(HOUR)
    assert await sweep(agent) == {REF: Outcome.REMOVED}


async def test_until_the_window_opens_nothing_is_evicted(host: FakeHost, image: str) -> None:
    night = Schedule(windows=(schedule.parse("13:00-13:30"),))  # the clock starts at 12:00
    agent = await host.agent(schedule=night).start()
    await agent.wait(59 * MINUTE)
    opens = host.clock.now() + MINUTE
    plan = await agent.plan()
    assert (plan.held_by, plan.opens, plan.next_due) == (HeldBy.WINDOW, opens, opens)
    assert ((await agent.decision(image)).held_by, agent.host_report.alerts) == (HeldBy.WINDOW, {})
    await agent.wait(MINUTE - SECOND)
    assert (agent.engine.mutations, set(host.docker.images)) == ([], {image})
    await agent.wait(2)
    assert host.docker.images == {}


async def test_an_image_due_after_the_window_waits_for_the_next_one(host: FakeHost, image: str) -> None:
    noon = Schedule(windows=(schedule.parse("12:00-12:20"),))  # the TTL ends at 12:20
    agent = await host.agent(schedule=noon).start()
    await agent.wait(PAST_TTL)
    plan = await agent.plan()
    assert (plan.held_by, plan.opens) == (HeldBy.WINDOW, host.clock.now().replace(hour=12, minute=0, second=0) + DAY)
    assert set(host.docker.images) == {image}


async def test_while_the_overrides_cannot_be_read_nothing_is_evicted(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    overrides_by_hand.path(host.folder).write_text("{")
    assert (await sweep(agent), list(agent.host_report.alerts)) == ({}, ["holds-unreadable"])
    (host.folder / overrides.FILE).unlink()
    assert (await sweep(agent), list(agent.host_report.alerts)) == ({REF: Outcome.REMOVED}, [])


async def test_without_proof_nothing_is_evicted(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    agent.view.stream.suspend()
    assert (await sweep(agent), (await agent.plan()).held_by) == ({}, HeldBy.UNPROVEN)
    assert agent.engine.mutations == []


# Refusals, errors and their back-off


async def test_a_refused_image_is_whole_and_left_alone_ever_longer_up_to_a_day(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    await agent.end_watcher_as_proven()
    agent.engine.on("delete", Conflict(409, "in use"), once=False)
    waits = []
    for _ in range(10):
        assert await sweep(agent) == {REF: Outcome.REFUSED}
        not_before = (await agent.view.engine_store.load_backoff())[image]
        waits.append(not_before - host.clock.now())
        assert (await agent.decision(image)).held_by is HeldBy.BACKOFF
        assert (await agent.plan()).next_due == not_before
        await agent.wait(waits[-1] - SECOND)
        assert await sweep(agent) == {}
        await agent.wait(1)
    minutes = [10, 20, 40, 80, 160, 320, 640, 1280]
    assert waits == [timedelta(minutes=count) for count in minutes] + [DAY, DAY]
    assert host.docker.images[image].tags == [REF]
    assert len(await agent.events(payloads.DecisionData.type)) == 1
    agent.engine.forget_hooks()
    assert await sweep(agent) == {REF: Outcome.REMOVED}


async def test_a_back_off_survives_a_restart(host: FakeHost, image: str) -> None:
    agent = await agent_past_ttl(host)
    agent.engine.on("delete", Conflict(409, "in use"))
    await sweep(agent)
    await agent.kill()
    again = await host.agent().watch()
    assert await sweep(again) == {}
    assert (await again.decision(image)).held_by is HeldBy.BACKOFF


@pytest.mark.parametrize("call", ["containers", "images", "made_from"])
@pytest.mark.parametrize("error", [EngineUnavailable(404, "a list"), EngineError(500, "oops")], ids=["404", "500"])
async def test_an_error_before_the_act_removes_nothing(
    host: FakeHost, image: str, call: str, error: EngineError
) -> None:
    agent = await agent_past_ttl(host)
    if call == "made_from":
        agent.engine.on("containers", lambda: _create(host))
    agent.engine.on(call, error, once=False)
    with pytest.raises(EngineError):
        await agent.sweeper.sweep()
    assert (agent.engine.mutations, await agent.events(), set(host.docker.images)) == ([], [], {image})


async def _create(host: FakeHost) -> None:
    host.docker.run(REF)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize("call", ["references", "delete", "image_id"])
async def test_an_error_in_the_act_leaves_the_image_whole_or_gone(host: FakeHost, image: str, call: str) -> None:
    agent = await agent_past_ttl(host)
    agent.engine.on(call, EngineUnavailable(0, "no answer in time"))
    with pytest.raises(EngineUnavailable):
        await agent.sweeper.sweep()
    assert await agent.outcomes() == []
    await agent.wait(60)
    await agent.sweeper.sweep()
    gone = image not in host.docker.images
    assert (await agent.outcomes(), gone) == ((["removed"], True) if call == "image_id" else (["failed"], False))


# The agent's own acts


async def test_its_own_tags_and_deletions_are_not_an_arrival_and_wake_nobody(host: FakeHost) -> None:
    refs = (REF, "team/torch:2", "team/torch:3")
    image = pytorch_image("torch", *refs)
    host.docker.add(image)
    agent = await agent_past_ttl(host)
    before = agent.usage(image.id)
    agent.engine.on("delete", Conflict(409, "in use"))
    agent.view.changed.clear()
    agent.ingestor.relist_due.clear()
    await sweep(agent)
    await agent.wait(1)
    assert [call.method for call in agent.engine.mutations] == ["untag", "untag", "delete", "tag", "tag"]
    assert agent.usage(image.id) == before
    assert (agent.view.changed.is_set(), agent.ingestor.relist_due.is_set()) == (False, False)


async def test_its_own_acts_read_late_change_nothing(host: FakeHost) -> None:
    image = pytorch_image("torch", REF, "team/torch:2")
    host.docker.add(image)
    agent = await agent_past_ttl(host)
    before = agent.usage(image.id)
    agent.engine.on("delete", Conflict(409, "in use"))
    streams, host.docker.streams = host.docker.streams, []
    await sweep(agent)
    await agent.wait(60)
    host.docker.streams = streams
    host.docker.cut_streams()
    await agent.wait(5)
    assert agent.usage(image.id) == before


async def test_a_refused_image_does_not_look_used(host: FakeHost) -> None:
    image = pytorch_image("torch", REF, "team/torch:2")
    host.docker.add(image)
    agent = await agent_past_ttl(host)
    agent.engine.on("delete", Conflict(409, "in use"))
    await sweep(agent)
    await agent.wait(600)
    assert await sweep(agent) == {REF: Outcome.REMOVED}
