"""Plan, recheck, evict, record: what goes, what stays, and in which order it is written down."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters import holds
from agent.adapters.engine import Conflict, EngineError, EngineUnavailable
from agent.core import report
from agent.core.model import HeldBy, Holds, Outcome, Pin, Reason, Rule
from tests import harness
from tests.builders import pytorch_image
from tests.fake_engine import Call
from tests.harness import PAST_TTL, TTL, Agent, World, names_of

REF = "team/torch:1"
MINUTE = 60.0  # seconds
DAY = timedelta(days=1)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with harness.world(tmp_path) as made:
        yield made


@pytest.fixture
def image(world: World) -> str:
    return world.docker.add(pytorch_image("torch", REF))


async def due(world: World, **rules: object) -> Agent:
    """An agent that watches, past the TTL of all that was there when it started."""
    agent = await world.agent(**rules).watch()
    await agent.wait(PAST_TTL)
    return agent


async def sweep(agent: Agent) -> dict[str, Outcome]:
    """Image reference -> outcome of one sweep."""
    done = await agent.sweeper.sweep()
    names = {item.image.id: names_of([item])[0] for item in done.first.decisions if item.image.references}
    return {names.get(image_id, image_id): outcome for image_id, outcome in done.outcomes.items()}


async def kinds(agent: Agent) -> list[str]:
    return [event.type.removeprefix("torchkeeper.") for event in await agent.events()]


# What is written, and when


async def test_an_idle_image_goes_and_everything_is_recorded(world: World, image: str) -> None:
    agent = await due(world)
    assert await sweep(agent) == {REF: Outcome.REMOVED}
    assert world.docker.images == {}
    decision, outcome, swept = await agent.events()
    assert (decision.data["reason"], decision.data["explanation"]) == (
        "idle-ttl",
        "idle 21 min, TTL 20 min; frees about 100 MB",
    )
    assert (outcome.data["outcome"], outcome.data["decision_id"]) == ("removed", decision.data["decision_id"])
    assert (swept.data["reasons"], swept.data["outcomes"]) == ({}, {"removed": 1})


async def test_the_decision_is_on_disk_before_the_engine_is_touched(world: World, image: str) -> None:
    agent = await due(world)
    written: list[tuple[int, int]] = []

    def look() -> None:
        counts = (world.db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("events", "removals"))
        events, removals = counts
        written.append((events, removals))

    agent.engine.on("references", look)
    agent.engine.on("delete", look, after=True)
    await sweep(agent)
    assert written == [(1, 1), (1, 1)]


async def test_the_events_wait_for_the_broker_in_order(world: World, image: str) -> None:
    agent = await due(world)
    agent.store.appended.clear()
    await sweep(agent)
    assert agent.store.appended.is_set()
    assert [row.seq for row in await agent.store.unsent(0, 99)] == [1, 2, 3]


async def test_a_sweep_that_touches_nothing_is_no_event(world: World, image: str) -> None:
    agent = await world.agent().watch()
    await sweep(agent)
    assert await agent.events() == []
    assert agent.board.inventory is not None


async def test_what_the_agent_removes_is_shown_as_gone(world: World, image: str) -> None:
    agent = await due(world)
    await sweep(agent)
    assert agent.board.inventory is not None
    assert agent.board.inventory.images == []
    assert [(item.references, item.outcome) for item in agent.board.inventory.decisions] == [([REF], "removed")]


async def test_the_least_recently_used_goes_first(world: World) -> None:
    for number, _ in enumerate(range(3)):
        world.docker.add(pytorch_image(f"torch-{number}", f"team/torch:{number}"))
    agent = await world.agent().watch()
    for number in (1, 0):
        world.docker.run(f"team/torch:{number}", rm=True)
        await agent.wait(1)
    await agent.wait(PAST_TTL)
    await sweep(agent)
    gone = [event.data["image"]["references"][0] for event in await agent.events(report.DECISION)]
    assert gone == ["team/torch:2", "team/torch:1", "team/torch:0"]


# The recheck


@pytest.mark.parametrize("call", ["containers", "images"])
async def test_a_container_created_between_plan_and_act_keeps_the_image(world: World, image: str, call: str) -> None:
    agent = await due(world)
    agent.engine.on(call, lambda: world.docker.create(REF))
    assert await sweep(agent) == {}
    assert (await agent.reason(image), agent.engine.mutations, await agent.events()) == (Reason.IN_USE, [], [])


async def test_a_use_between_plan_and_act_keeps_the_image(world: World, image: str) -> None:
    agent = await due(world)
    agent.engine.on("containers", lambda: world.docker.run(REF, rm=True))
    assert await sweep(agent) == {}
    await agent.wait()
    assert await agent.reason(image) is Reason.RECENT


async def test_a_container_created_while_the_engine_deletes_keeps_the_image(world: World, image: str) -> None:
    agent = await due(world)
    agent.engine.on("delete", lambda: world.docker.create(REF))
    assert await sweep(agent) == {REF: Outcome.REFUSED}
    assert world.docker.images[image].tags == [REF]


async def test_a_tag_that_moves_between_plan_and_act_keeps_the_image(world: World, image: str) -> None:
    other = world.docker.add(pytorch_image("other", "team/other:latest"))
    agent = await due(world)
    agent.engine.on("containers", lambda: world.docker.tag(other, REF))
    assert await sweep(agent) == {}
    assert {image, other} <= set(world.docker.images)


async def test_a_pull_between_two_evictions_keeps_the_second_image(world: World, image: str) -> None:
    second = pytorch_image("second", "team/second:1")
    world.docker.add(second)
    agent = await due(world)
    first = (await agent.plan()).evictions[0].image.id
    other = second.id if first == image else image
    agent.engine.on("delete", lambda: world.docker.emit("image", "pull", other, name=other), after=True)
    await sweep(agent)
    assert set(world.docker.images) == {other}


async def test_a_pin_set_between_plan_and_act_keeps_the_image(world: World, image: str) -> None:
    agent = await due(world)
    pin = Pin(id=image, reference=REF, at=world.clock.now())
    agent.engine.on("containers", lambda: holds.change(world.folder, lambda _: Holds(pins=(pin,))))
    assert await sweep(agent) == {}
    assert await agent.reason(image) is Reason.PINNED


async def test_a_stream_that_ends_between_plan_and_act_keeps_the_image(world: World, image: str) -> None:
    agent = await due(world)

    async def cut() -> None:
        world.docker.cut_streams()
        await world.clock.sleep(0.1)

    agent.engine.on("containers", cut)
    with pytest.raises(EngineUnavailable):
        await _while_waiting(agent, 5)
    assert set(world.docker.images) == {image}


async def _while_waiting(agent: Agent, seconds: float) -> None:
    task = asyncio.create_task(agent.sweeper.sweep())
    await agent.wait(seconds)
    await task


# Parents and children


async def test_a_child_goes_before_the_parent_that_it_was_built_on(world: World, image: str) -> None:
    world.docker.build("team/child:1", REF, classic=True)
    agent = await due(world, evict_local=True)
    assert await sweep(agent) == {"team/child:1": Outcome.REMOVED, REF: Outcome.REMOVED}
    assert [call.argument for call in agent.engine.mutations][-1] == image


async def test_a_parent_whose_child_stays_stays(world: World, image: str) -> None:
    world.docker.build("team/child:stable", REF, classic=True)
    agent = await due(world, evict_local=True)
    assert await sweep(agent) == {}
    assert await agent.reason(image) is Reason.HAS_CHILDREN


async def test_an_untagged_step_goes_with_the_last_image_built_on_it(world: World, image: str) -> None:
    step = world.docker.build("team/step:1", REF, classic=True)
    child = world.docker.build("team/child:1", "team/step:1", classic=True)
    world.docker.images[step].tags = []
    agent = await due(world, rules=(Rule(match="team/child:*", evict_local=True),), protect=(REF,))
    await sweep(agent)
    assert set(world.docker.images) == {image}
    decisions = [(event.subject, event.data["reason"]) for event in await agent.events(report.DECISION)]
    assert decisions == [(child, "idle-ttl"), (step, "dangling")]


async def test_a_parent_waits_where_its_child_was_refused(world: World, image: str) -> None:
    child = world.docker.build("team/child:1", REF, classic=True)
    agent = await due(world, evict_local=True)
    agent.engine.on("delete", Conflict(409, "in use"))
    assert await sweep(agent) == {"team/child:1": Outcome.REFUSED}
    assert set(world.docker.images) == {image, child}


# What holds an eviction


async def test_observe_writes_the_decision_once_and_removes_nothing(world: World, image: str) -> None:
    agent = await due(world, observe=True)
    assert [await sweep(agent) for _ in range(3)] == [{REF: Outcome.WOULD_REMOVE}, {}, {}]
    assert (await kinds(agent), await agent.outcomes()) == (["decision", "outcome", "sweep"], ["would-remove"])
    assert (agent.engine.mutations, set(world.docker.images)) == ([], {image})


async def test_observe_decides_anew_after_a_use(world: World, image: str) -> None:
    agent = await due(world, observe=True)
    await sweep(agent)
    world.docker.run(REF, rm=True)
    await agent.wait()
    await agent.wait(PAST_TTL)
    await sweep(agent)
    assert await agent.outcomes() == ["would-remove", "would-remove"]


async def test_a_dry_run_writes_nothing(world: World, image: str) -> None:
    agent = await due(world)
    done = await agent.sweeper.sweep(dry_run=True)
    assert (done.outcomes, await agent.events()) == ({image: Outcome.WOULD_REMOVE}, [])
    assert set(world.docker.images) == {image}


async def test_a_pause_holds_everything_until_it_ends(world: World, image: str) -> None:
    agent = await due(world)
    until = world.clock.now() + timedelta(hours=1)
    holds.change(world.folder, lambda _: Holds(paused=True, paused_at=world.clock.now(), paused_until=until))
    assert (await sweep(agent), (await agent.plan()).hold) == ({}, HeldBy.PAUSED)
    await agent.wait(3600)
    assert await sweep(agent) == {REF: Outcome.REMOVED}


async def test_holds_that_cannot_be_read_hold_everything(world: World, image: str) -> None:
    agent = await due(world)
    (world.folder / holds.FILE).write_text("{")
    assert (await sweep(agent), list(agent.board.alerts)) == ({}, ["holds-unreadable"])
    (world.folder / holds.FILE).unlink()
    assert (await sweep(agent), list(agent.board.alerts)) == ({REF: Outcome.REMOVED}, [])


async def test_without_proof_nothing_goes(world: World, image: str) -> None:
    agent = await due(world)
    agent.sight.proven = False
    assert (await sweep(agent), (await agent.plan()).hold) == ({}, HeldBy.UNPROVEN)
    assert agent.engine.mutations == []


# Refusals, errors and their back-off


async def test_a_refused_image_is_whole_and_left_alone_ever_longer_up_to_a_day(world: World, image: str) -> None:
    agent = await due(world)
    await agent.rest()
    agent.engine.on("delete", Conflict(409, "in use"), once=False)
    waits = []
    for _ in range(10):
        assert await sweep(agent) == {REF: Outcome.REFUSED}
        not_before = (await agent.store.run(lambda tables: tables.backoff(agent.sight.row)))[image]
        waits.append(not_before - world.clock.now())
        assert (await agent.decision(image)).held_by is HeldBy.BACKOFF
        assert (await agent.plan()).next_due == not_before
        await agent.wait(waits[-1].total_seconds() - 1)
        assert await sweep(agent) == {}
        await agent.wait(1)
    minutes = [10, 20, 40, 80, 160, 320, 640, 1280]
    assert waits == [timedelta(minutes=count) for count in minutes] + [DAY, DAY]
    assert world.docker.images[image].tags == [REF]
    assert len(await agent.events(report.DECISION)) == 1
    agent.engine.forget_hooks()
    assert await sweep(agent) == {REF: Outcome.REMOVED}


async def test_a_back_off_survives_a_restart(world: World, image: str) -> None:
    agent = await due(world)
    agent.engine.on("delete", Conflict(409, "in use"))
    await sweep(agent)
    await agent.kill()
    again = await world.agent().watch()
    assert await sweep(again) == {}
    assert (await again.decision(image)).held_by is HeldBy.BACKOFF


@pytest.mark.parametrize("call", ["containers", "images", "container_image"])
@pytest.mark.parametrize("error", [EngineUnavailable(404, "a list"), EngineError(500, "oops")], ids=["404", "500"])
async def test_an_error_before_the_act_removes_nothing(world: World, image: str, call: str, error: EngineError) -> None:
    agent = await due(world)
    if call == "container_image":
        agent.engine.on("containers", lambda: _create(world))
    agent.engine.on(call, error, once=False)
    with pytest.raises(EngineError):
        await agent.sweeper.sweep()
    assert (agent.engine.mutations, await agent.events(), set(world.docker.images)) == ([], [], {image})


async def _create(world: World) -> None:
    world.docker.run(REF)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize("call", ["references", "delete", "image_id"])
async def test_an_error_in_the_act_leaves_the_image_whole_or_gone(world: World, image: str, call: str) -> None:
    agent = await due(world)
    agent.engine.on(call, EngineUnavailable(0, "no answer in time"))
    with pytest.raises(EngineUnavailable):
        await agent.sweeper.sweep()
    assert await agent.outcomes() == []
    await agent.wait(60)
    await agent.sweeper.sweep()
    gone = image not in world.docker.images
    assert (await agent.outcomes(), gone) == ((["removed"], True) if call == "image_id" else (["failed"], False))


# The agent's own acts


async def test_its_own_tags_and_deletions_are_no_arrival_and_wake_nobody(world: World) -> None:
    refs = (REF, "team/torch:2", "team/torch:3")
    image = pytorch_image("torch", *refs)
    world.docker.add(image)
    agent = await due(world)
    before = agent.usage(image.id)
    agent.engine.on("delete", Conflict(409, "in use"))
    agent.sight.changed.clear()
    agent.intake.stale.clear()
    await sweep(agent)
    await agent.wait(1)
    assert [call.method for call in agent.engine.mutations] == ["untag", "untag", "delete", "tag", "tag"]
    assert agent.usage(image.id) == before
    assert (agent.sight.changed.is_set(), agent.intake.stale.is_set()) == (False, False)


async def test_its_own_acts_read_late_change_nothing(world: World) -> None:
    image = pytorch_image("torch", REF, "team/torch:2")
    world.docker.add(image)
    agent = await due(world)
    before = agent.usage(image.id)
    agent.engine.on("delete", Conflict(409, "in use"))
    streams, world.docker.streams = world.docker.streams, []
    await sweep(agent)
    await agent.wait(60)
    world.docker.streams = streams
    world.docker.cut_streams()
    await agent.wait(5)
    assert agent.usage(image.id) == before


async def test_a_refused_image_does_not_look_used(world: World) -> None:
    image = pytorch_image("torch", REF, "team/torch:2")
    world.docker.add(image)
    agent = await due(world)
    agent.engine.on("delete", Conflict(409, "in use"))
    await sweep(agent)
    await agent.wait(600)
    assert await sweep(agent) == {REF: Outcome.REMOVED}


# The loop


async def test_it_sleeps_until_the_deadline(world: World, image: str) -> None:
    agent = await world.agent().start()
    await agent.wait(TTL.total_seconds() - 1)
    assert agent.engine.mutations == []
    await agent.wait(1.5)
    assert agent.engine.mutations == [Call("delete", image)]


async def test_a_use_moves_the_deadline(world: World, image: str) -> None:
    agent = await world.agent().start()
    await agent.wait(600)
    world.docker.run(REF, rm=True)
    await agent.wait(TTL.total_seconds() - 1)
    assert agent.engine.mutations == []
    await agent.wait(2)
    assert agent.engine.mutations == [Call("delete", image)]


async def test_it_wakes_when_a_pin_is_taken_away(world: World, image: str) -> None:
    pin = Pin(id=image, reference=REF, at=world.clock.now())
    holds.change(world.folder, lambda _: Holds(pins=(pin,)))
    agent = await world.agent(ttl=timedelta(seconds=30), min_age=timedelta()).start()
    await agent.wait(MINUTE)
    assert await agent.reason(image) is Reason.PINNED
    holds.change(world.folder, lambda _: Holds())
    await agent.wait(10)
    assert (await agent.reason(image), agent.usage(image).protected) == (Reason.RECENT, False)
    await agent.wait(30)
    assert world.docker.images == {}


async def test_it_wakes_when_a_container_goes(world: World, image: str) -> None:
    cid = world.docker.create(REF)
    agent = await world.agent(ttl=timedelta(seconds=30), min_age=timedelta()).start()
    await agent.wait(MINUTE)
    assert set(world.docker.images) == {image}
    world.docker.remove(cid)
    await agent.wait(31)
    assert world.docker.images == {}


async def test_a_failed_sweep_is_tried_again_soon(world: World, image: str) -> None:
    agent = await world.agent(ttl=timedelta(seconds=30), min_age=timedelta()).start()
    agent.engine.on("images", EngineUnavailable(404, "a list"))
    await agent.wait(35)
    assert set(world.docker.images) == {image}
    await agent.wait(10)
    assert world.docker.images == {}


async def test_a_burst_of_events_is_one_new_plan(world: World, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = await world.agent().start()
    sweeps = 0
    real = agent.sweeper.sweep

    async def counted() -> object:
        nonlocal sweeps
        sweeps += 1
        return await real()

    monkeypatch.setattr(agent.sweeper, "sweep", counted)
    for _ in range(50):
        world.docker.run(REF, rm=True)
        await agent.wait(0.001)
    await agent.wait(5)
    assert sweeps <= 2
