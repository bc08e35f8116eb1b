"""What events and listings change in usage: no use is missed, and none counts for the wrong image."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.adapters.engine import EngineError, EngineUnavailable
from agent.core.policy.decision import Reason
from agent.core.usage.events import EngineEvent
from agent.tracking.buffer import Buffer, StreamEnded
from tests.support.builders import REF, make_event, pytorch_image
from tests.support.fake_host import FakeHost
from tests.support.times import HOUR, MINUTE, START


async def test_an_image_seen_for_the_first_time_counts_from_then(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    usage = agent.usage(image)
    assert (usage.first_seen, usage.arrived, usage.last_used) == (START, None, None)


@pytest.mark.parametrize("act", ["create", "start", "die", "destroy"])
async def test_each_act_of_a_container_is_a_use(host: FakeHost, image: str, act: str) -> None:
    agent = await host.agent().watch()
    cid = ""
    acts: list[tuple[str, Callable[[], object]]] = [
        ("create", lambda: host.docker.create(REF, "box")),
        ("start", lambda: host.docker.begin(cid)),
        ("die", lambda: host.docker.end(cid)),
        ("destroy", lambda: host.docker.remove(cid)),
    ]
    for name, do in acts:
        await agent.wait(60)
        cid = str(do() or cid)
        await agent.wait(0)
        assert agent.last_use(image) == (host.clock.now(), "box")
        if name == act:
            return


async def test_an_event_that_does_not_count_as_a_use_changes_nothing(host: FakeHost, image: str) -> None:
    cid = host.docker.run(REF, "box")
    agent = await host.agent().watch()
    before = agent.usage(image)
    await agent.wait(60)
    for action in ("exec_create: sh", "exec_start: sh", "exec_die", "health_status: healthy", "rename", "attach"):
        host.docker.emit("container", action, cid, image=REF, name="box")
    host.docker.emit("volume", "create", "data")
    await agent.wait()
    assert agent.usage(image) == before


async def test_idle_starts_at_the_end_of_the_use(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    cid = host.docker.run(REF)
    await agent.wait(600)
    assert await agent.reason(image) is Reason.IN_USE
    host.docker.remove(cid)
    end = host.clock.now()
    await agent.wait(600)
    assert (await agent.decision(image)).idle_since == end


async def test_a_stopped_container_found_at_the_start_was_last_used_at_its_end(host: FakeHost, image: str) -> None:
    cid = host.docker.run(REF, "box")
    await host.clock.advance(60)
    host.docker.end(cid)
    await host.clock.advance(HOUR)
    agent = await host.agent().watch()
    assert agent.last_use(image) == (START + MINUTE, "box")


async def test_a_container_that_came_and_went_just_before_the_first_watch_counts_as_a_use(
    host: FakeHost, image: str
) -> None:
    cid = host.docker.run(REF, "box")
    host.docker.remove(cid)
    await host.clock.advance(1)
    agent = await host.agent().watch()
    assert agent.last_use(image) == (START, "box")
    assert agent.view.tracker.containers == {}


@pytest.mark.parametrize("call", ["containers", "images", "ring"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_use_while_catching_up_is_not_missed(host: FakeHost, image: str, call: str, after: bool) -> None:
    agent = host.agent()
    agent.engine.on(call, lambda: host.docker.run(REF, "box"), after=after)
    await agent.watch()
    assert agent.last_use(image) == (START, "box")
    assert await agent.reason(image) is Reason.IN_USE


@pytest.mark.parametrize("call", ["containers", "images", "ring"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_container_that_is_removed_while_catching_up_keeps_no_image(
    host: FakeHost, image: str, call: str, after: bool
) -> None:
    cid = host.docker.run(REF, "box")
    agent = host.agent()
    agent.engine.on(call, lambda: host.docker.remove(cid), after=after)
    await agent.watch()
    assert agent.last_use(image) == (START, "box")
    assert agent.view.tracker.containers == {}


async def test_a_container_that_came_while_listing_again_is_tracked(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    agent.engine.on("containers", lambda: host.docker.run(REF, "box"), after=True)
    await agent.ingestor.refresh()
    assert [held.state for held in agent.view.tracker.containers.values()] == ["running"]


async def test_an_image_pulled_while_listing_again_stays_known_as_pulled(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    fresh = pytorch_image("fresh", "team/fresh:1")

    async def pull() -> None:
        host.docker.pull(fresh)
        await host.clock.sleep(1)

    agent.engine.on("images", pull, after=True)
    host.docker.emit("image", "untag", image, name=image)  # a listing is due
    await agent.wait(10)
    assert agent.usage(fresh.id).pulled


async def test_a_container_gone_before_the_inspect_is_known_by_its_name(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    host.docker.run(REF, "box", rm=True)
    await agent.wait()
    assert agent.last_use(image) == (START + MINUTE, "box")
    assert await agent.gaps() == []


async def test_a_name_means_what_it_meant_at_the_time_of_the_event(host: FakeHost, image: str) -> None:
    other = host.docker.add(pytorch_image("other", "team/other:1"))
    agent = await host.agent().watch()
    await agent.wait(60)
    host.docker.run(REF, "before", rm=True)
    host.docker.tag(other, REF)
    await agent.wait(0)
    assert (agent.last_use(image), agent.usage(other).last_used) == ((START + MINUTE, "before"), None)
    await agent.wait(60)
    host.docker.run(REF, "after", rm=True)
    await agent.wait(0)
    assert (agent.last_use(image))[1] == "before"
    assert (agent.last_use(other))[1] == "after"


async def test_a_container_keeps_using_its_image_after_the_tag_moved(host: FakeHost, image: str) -> None:
    cid = host.docker.run(REF, "box")
    agent = await host.agent().watch()
    other = host.docker.add(pytorch_image("other", "team/other:1"))
    host.docker.tag(other, REF)
    await agent.wait(60)
    host.docker.remove(cid)
    end = host.clock.now()
    await agent.wait()
    assert agent.last_use(image) == (end, "box")
    assert agent.usage(other).last_used is None


async def test_an_image_that_loses_its_tag_has_changed_its_references(host: FakeHost, image: str) -> None:
    other = host.docker.add(pytorch_image("other", "team/other:1"))
    agent = await host.agent().watch()
    await agent.wait(60)
    host.docker.tag(other, REF)
    moved = host.clock.now()
    await agent.wait()
    digest = tuple(host.docker.images[image].digests)
    assert (agent.usage(image).references, agent.usage(image).references_changed) == (digest, moved)
    assert agent.usage(other).arrived == moved


async def test_a_replay_changes_nothing(host: FakeHost, image: str) -> None:
    host.docker.run(REF, "kept")
    agent = await host.agent().watch()
    host.docker.run(REF, "box", rm=True)
    await agent.wait(0.01)
    before, uses = await agent.saved(), await agent.view.engine_store.load_uses(image, 99)
    host.docker.cut_streams()
    await agent.wait(0.5)  # reconnected, with all events reported again
    assert agent.engine.counts()["events"] == 2
    assert (await agent.saved(), await agent.view.engine_store.load_uses(image, 99)) == (before, uses)


async def test_a_use_reported_twice_counts_for_its_image_even_where_the_name_is_gone(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "box", rm=True)
    await agent.wait(0.01)
    host.docker.delete(REF)
    await agent.wait(0.01)
    await agent.kill()
    again = await host.agent().watch()
    assert await again.gaps() == []


async def test_a_use_that_matches_no_image_floors_the_idle_time_of_all(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait(HOUR)
    host.docker.emit("container", "create", "f" * 64, image="gone/long-ago:1", name="box")
    seen = host.clock.now()
    await agent.wait(60)
    assert await agent.gaps() == [(timedelta(), "a use of 'gone/long-ago:1' could not be matched to an image")]
    assert ((await agent.decision(image)).idle_since, agent.usage(image).last_used) == (seen, None)


async def test_a_time_in_the_future_counts_as_now(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.clock.jump(3600)
    cid = host.docker.create(REF, "box")
    host.clock.jump(-3600)
    await agent.wait(0)
    assert agent.last_use(image) == (START, "box")
    assert cid in agent.view.tracker.containers


@pytest.mark.parametrize("error", [EngineError(500, "oops"), EngineUnavailable(0, "slow")])
async def test_an_error_in_a_refresh_loses_no_event(host: FakeHost, image: str, error: EngineError) -> None:
    agent = await host.agent().watch()
    agent.engine.on("made_from", error)
    agent.ingestor.buffer.put(_create_of(host))
    with pytest.raises(EngineError):
        await agent.ingestor.refresh()
    await agent.wait()
    assert agent.last_use(image) == (START, "box")


def _create_of(host: FakeHost) -> EngineEvent:
    """An event that lies in the buffer, while its stream says no more."""
    streams, host.docker.streams = host.docker.streams, []
    cid = host.docker.create(REF, "box")
    host.docker.streams = streams
    time_ns = host.docker.ring[-1]["timeNano"]
    return EngineEvent(time_ns=time_ns, kind="container", action="create", actor=cid, image=REF, name="box")


async def test_a_refresh_without_a_stream_is_refused(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    agent.view.stream.suspend()
    with pytest.raises(StreamEnded):
        await agent.ingestor.refresh()
    assert agent.engine.counts()["images"] == 1


async def test_a_refresh_whose_stream_ends_meanwhile_counts_for_nothing(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    before = await agent.store.load_latest_engine()
    await agent.wait(5)

    def end() -> None:
        agent.view.stream.close()

    agent.engine.on("images", end, after=True)
    with pytest.raises(StreamEnded):
        await agent.ingestor.refresh()
    after = await agent.store.load_latest_engine()
    assert before is not None
    assert after is not None
    assert after.usages == before.usages


# One writer


async def test_a_removal_by_the_agent_waits_for_the_event_that_is_being_taken_in(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    asked, answered = asyncio.Event(), asyncio.Event()

    async def answer() -> None:
        asked.set()
        await answered.wait()

    agent.engine.on("made_from", answer)
    host.docker.create(REF, "box")
    await asked.wait()
    marking = asyncio.create_task(agent.ingestor.mark_removed(image))
    await agent.wait()
    during = agent.usage(image).present
    answered.set()
    await marking
    assert (during, agent.usage(image).present) == (True, False)


async def test_an_event_that_was_folded_is_not_asked_about_again_after_an_error(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    streams, host.docker.streams = host.docker.streams, []
    cids = [host.docker.create(REF, name) for name in ("first", "second")]
    for cid, row in zip(cids, list(host.docker.ring)[-2:], strict=True):
        agent.ingestor.buffer.put(
            EngineEvent(time_ns=row["timeNano"], kind="container", action="create", actor=cid, image=REF, name=cid)
        )
    agent.engine.on("made_from", EngineUnavailable(0, "too slow"), nth=2)
    with pytest.raises(EngineUnavailable):
        await agent.ingestor.refresh()
    host.docker.streams = streams
    await agent.ingestor.refresh()
    asked = [call.argument for call in agent.engine.calls if call.method == "made_from"]
    assert asked == [cids[0], cids[1], cids[1]]
    assert (await agent.saved())[image].last_used == host.clock.now()


# The buffer


def test_a_full_buffer_ends_the_stream() -> None:
    buffer = Buffer(limit=2)
    buffer.put(make_event("create"))
    buffer.put(make_event("start"))
    with pytest.raises(StreamEnded, match="more than 2 events waited"):
        buffer.put(make_event("die"))
    assert buffer.overflowed


def test_events_given_back_wait_before_those_that_came_since() -> None:
    buffer = Buffer()
    buffer.put(make_event("create"))
    taken = buffer.take()
    buffer.put(make_event("start"))
    buffer.give_back(taken)
    assert [event.action for event in buffer.take()] == ["create", "start"]
    assert not buffer.filled.is_set()


# The store


async def test_a_write_that_is_cancelled_while_it_waits_loses_no_use(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait()
    agent.executor.blocked = waits = asyncio.Event()
    host.docker.create(REF, "box")
    used_at = host.clock.now()
    await waits.wait()
    agent.executor.blocked = None
    host.docker.stop()  # its stream ends, and cancels the write
    await agent.wait()
    assert (await agent.saved())[image].last_used == used_at


async def test_an_event_after_a_clock_that_was_set_back_a_little_is_read_again(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.emit("image", "untag", image, name=image)
    await agent.wait()
    await agent.kill()
    host.clock.jump(-8)
    host.docker.last_ns = 0
    host.docker.run(REF, "box", rm=True)
    used_at = host.clock.now()
    again = await host.agent().watch()
    assert again.last_use(image) == (used_at, "box")
