"""The life of the event stream: reconnecting, catching up, and what is recorded as blind time."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent.adapters.docker.timeouts import DockerTimeouts
from agent.adapters.engine import EngineDown, EngineError, EngineUnavailable
from agent.core.policy.decision import HeldBy
from agent.tracking.timing import TrackingTiming
from tests.support.builders import REF, pytorch_image
from tests.support.fake_host import BEYOND_TOLERANCE, FakeHost, HostedAgent
from tests.support.fakes.docker import RING
from tests.support.times import DAY, HOUR


async def unproven(agent: HostedAgent) -> bool:
    return (await agent.plan()).held_by is HeldBy.UNPROVEN


# Connecting


async def test_the_stream_is_opened_before_anything_is_listed(host: FakeHost) -> None:
    agent = await host.agent().watch()
    assert [call.method for call in agent.engine.calls] == ["connect", "events", "ring", "containers", "images"]


async def test_the_first_stream_begins_a_moment_before_now(host: FakeHost) -> None:
    agent = await host.agent().watch()
    now_ns = int(host.clock.now().timestamp()) * 10**9
    assert agent.engine.calls[1].argument == str(now_ns - 2 * 10**9)


async def test_nothing_may_be_evicted_until_the_watch_is_proven(host: FakeHost, image: str) -> None:
    agent = host.agent()
    agent.engine.on("ring", agent.engine.hang)
    await agent.watch()
    assert (agent.watcher.ready.is_set(), await unproven(agent)) == (False, True)


@pytest.mark.parametrize("call", ["connect", "events", "containers", "images", "ring"])
@pytest.mark.parametrize("status", [0, 404, 500])
async def test_an_error_while_connecting_is_retried(host: FakeHost, image: str, call: str, status: int) -> None:
    agent = host.agent()
    agent.engine.on(call, EngineUnavailable(status, "no") if status != 500 else EngineError(500, "no"))
    await agent.watch()
    assert (await unproven(agent), list(agent.host_report.alerts)) == (True, ["engine-down"])
    await agent.wait(2)
    assert (await unproven(agent), list(agent.host_report.alerts)) == (False, [])


async def test_a_bug_is_not_retried(host: FakeHost) -> None:
    agent = host.agent()
    agent.engine.on("ring", ZeroDivisionError("a bug"))
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await agent.watch()


async def test_an_engine_that_is_down_for_long_is_tried_ever_more_rarely(host: FakeHost) -> None:
    host.docker.stop()
    agent = await host.agent().watch()
    await agent.wait(HOUR)
    assert 3600 / 31 - 2 <= agent.engine.counts()["connect"] <= 3600 / 30 + 10


async def test_a_full_disk_is_waited_for(host: FakeHost, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = await host.agent().start()
    agent.faults.fail("commit")
    host.docker.run(REF, "box", rm=True)
    await agent.wait(60)
    assert list(agent.host_report.alerts) == ["state-full"]
    agent.faults.clear()
    await agent.wait(60)
    assert (list(agent.host_report.alerts), agent.usage(image).last_used_by) == ([], "box")


async def test_a_full_disk_at_the_first_start_does_not_end_the_watcher(
    host: FakeHost, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = host.agent()

    agent.faults.fail("commit")
    agent.engine.on("containers", lambda: host.clock.sleep(20), once=False)  # the sweeper looks meanwhile
    await agent.start()
    await agent.wait(120)
    assert "state-full" in agent.host_report.alerts
    assert agent.engine.mutations == []


# The end of a stream


async def test_after_the_end_of_a_stream_everything_is_caught_up_with(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.cut_streams()
    await agent.wait(0.01)
    assert await unproven(agent)
    host.docker.run(REF, "box", rm=True)
    await agent.wait(1)
    assert not await unproven(agent)
    assert agent.usage(image).last_used_by == "box"
    assert await agent.gaps() == []


async def test_the_next_stream_begins_before_the_last_event(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    host.docker.run(REF, "box", rm=True)
    last_ns = host.docker.ring[-1]["timeNano"]
    await agent.wait(60)
    host.docker.cut_streams()
    await agent.wait(1)
    opened = [call.argument for call in agent.engine.calls if call.method == "events"]
    assert opened[1:] == [str(last_ns - 2 * 10**9)]


async def test_an_engine_that_hangs_is_left_at_the_second_ping(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    agent.engine.on("ping", EngineUnavailable(0, "no answer in time"), once=False)
    await agent.wait(60)
    assert await unproven(agent) or agent.engine.counts()["connect"] > 1
    agent.engine.forget_hooks()
    await agent.wait(60)
    assert not await unproven(agent)


async def test_the_stream_of_a_stopping_engine_is_read_to_its_end(host: FakeHost, image: str) -> None:
    cid = host.docker.run(REF, "box")
    agent = await host.agent().watch()
    await agent.wait(10)
    agent.engine.on("*", EngineDown(900, "its socket is gone"), once=False)
    await agent.wait(10)  # a ping fails
    host.docker.end(cid)
    died = host.clock.now()
    host.docker.stop()
    await agent.wait(HOUR)
    host.docker.start()
    agent.engine.forget_hooks()
    await agent.wait(60)
    assert (agent.usage(image).last_used, await agent.gaps()) == (died, [])


async def test_a_restart_of_the_engine_while_this_process_watches_is_not_a_gap(host: FakeHost, image: str) -> None:
    agent = await host.agent(ttl=DAY).start()
    host.docker.run(REF, "box", rm=True)
    used = host.clock.now()
    await agent.wait(60)
    host.docker.stop()
    await agent.wait(HOUR)
    host.docker.start()
    await agent.wait(60)
    assert (await agent.gaps(), (await agent.decision(image)).idle_since) == ([], used)


async def test_events_that_an_engine_reports_at_its_very_end_count(host: FakeHost, image: str) -> None:
    cid = host.docker.run(REF, "box")
    agent = await host.agent().watch()
    await agent.wait(60)
    host.docker.remove(cid)
    host.docker.stop()
    removed = host.clock.now()
    await agent.wait(HOUR)
    host.docker.start()
    await agent.wait(60)
    assert (agent.usage(image).last_used, await agent.gaps()) == (removed, [])


async def test_an_event_at_the_engines_end_that_cannot_be_resolved_any_more_is_a_gap(
    host: FakeHost, image: str
) -> None:
    agent = await host.agent().watch()
    await agent.wait(60)
    host.docker.run(REF, "box")
    host.docker.containers.clear()
    host.docker.stop()
    await agent.wait(HOUR)
    host.docker.start()
    await agent.wait(60)
    assert [cause for _, cause in await agent.gaps()] == ["the engine restarted while nobody watched"]


async def test_a_buffer_that_overflows_is_blind_time_and_a_new_beginning(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    agent.ingestor.buffer.limit = 2 * RING
    agent.engine.on("made_from", lambda: host.clock.sleep(300))  # the store, or the engine, is slow
    first = host.docker.create(REF, "first")
    await agent.wait(1)
    since = host.clock.now()
    await agent.wait(BEYOND_TOLERANCE)
    for _ in range(2 * RING + 1):
        host.docker.emit("container", "start", first, image=REF, name="first")
    await agent.wait(1)
    assert agent.engine.counts()["connect"] == 2
    [(length, cause)] = await agent.gaps()
    assert cause == "more happened than the engine remembers"
    assert BEYOND_TOLERANCE <= length <= BEYOND_TOLERANCE + (host.clock.now() - since)


# At rest


async def test_an_hour_at_rest_costs_pings_one_audit_a_minute_and_one_listing(host: FakeHost, image: str) -> None:
    agent = await host.agent(ttl=DAY).start()
    before = agent.engine.counts()
    await agent.wait(HOUR)
    after = agent.engine.counts()
    assert {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)} == {
        "ping": 240,
        "ring": 60,
    }
    await agent.wait(1)
    assert {name: agent.engine.counts()[name] for name in ("containers", "images")} == {"containers": 2, "images": 2}


async def test_several_images_at_once_are_one_listing(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    for number in range(5):
        host.docker.pull(pytorch_image(f"image-{number}", f"team/image:{number}"))
    await agent.wait(5)
    assert agent.engine.counts()["images"] == 2


# Failures, each logged by its name


def alerts_in(logged: list[MutableMapping[str, Any]]) -> list[tuple[str, str, str]]:
    """The alert, its state and the level of each line about an alert."""
    return [(entry["alert"], entry["state"], entry["log_level"]) for entry in logged if entry["action"] == "alert"]


async def test_an_engine_that_is_lost_and_comes_back_is_reported_once_each(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    with capture_logs() as logged:
        host.docker.stop()
        await agent.wait(600)
        host.docker.start()
        await agent.wait(60)
    assert alerts_in(logged) == [("engine-down", "began", "error"), ("engine-down", "ended", "info")]


async def test_a_full_disk_is_reported_once_by_its_own_name(
    host: FakeHost, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await host.agent().start()
    alerts = set[tuple[str, ...]]()
    with capture_logs() as logged:
        agent.faults.fail("commit")
        host.docker.run(REF, "box", rm=True)
        for _ in range(60):
            await agent.wait(1)
            alerts.add(tuple(agent.host_report.alerts))
        agent.faults.clear()
        await agent.wait(120)
    assert (alerts_in(logged), alerts) == (
        [("state-full", "began", "error"), ("state-full", "ended", "info")],
        {("state-full",)},
    )


async def test_a_full_disk_after_an_engine_that_was_down_takes_its_place(
    host: FakeHost, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await host.agent().watch()
    host.docker.stop()
    await agent.wait(60)
    assert list(agent.host_report.alerts) == ["engine-down"]

    agent.faults.fail("commit")
    host.docker.start()
    await agent.wait(60)
    assert list(agent.host_report.alerts) == ["state-full"]


# Silence


async def freeze(agent: HostedAgent) -> None:
    """Its pings time out."""
    await agent.clock.sleep(DockerTimeouts().ping)
    raise EngineUnavailable(0, "no answer in time")


async def test_a_frozen_engine_is_distrusted_within_twenty_seconds(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    agent.engine.on("ping", lambda: freeze(agent), once=False)
    agent.engine.on("images", agent.engine.hang)
    host.docker.emit("image", "untag", image, name=image)  # a listing hangs meanwhile, too
    await agent.wait(20)
    assert (agent.watcher.ready.is_set(), await unproven(agent)) == (False, True)
    assert list(agent.host_report.alerts) == ["engine-down"]


async def test_an_engine_that_thaws_is_trusted_again_on_the_same_stream(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    agent.engine.on("ping", lambda: freeze(agent))
    await agent.wait(20)
    host.docker.run(REF, "box", rm=True)
    await agent.wait(TrackingTiming().engine_stop_time)
    assert (agent.watcher.ready.is_set(), await unproven(agent)) == (True, False)
    assert (agent.engine.counts()["connect"], agent.usage(image).last_used_by) == (1, "box")
    assert (list(agent.host_report.alerts), await agent.gaps()) == ([], [])


async def test_nothing_may_be_evicted_from_the_moment_that_the_stream_ends(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    agent.engine.on("ping", agent.engine.hang)  # the agent asks whether the engine is still there
    host.docker.cut_streams()
    await agent.wait(0)
    assert await unproven(agent)


# A stream that is cut again and again


async def test_uses_are_recorded_though_no_listing_ever_ends(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait()

    async def cut() -> None:
        host.docker.cut_streams()
        await agent.engine.hang()

    agent.engine.on("images", cut, once=False)
    host.docker.cut_streams()
    for number in range(4):
        await agent.wait(60)
        for _ in range(RING // 8):
            host.docker.run(REF, f"box-{number}", rm=True)
        used = host.clock.now()
        await agent.wait(60)
        assert ((await agent.saved())[image].last_used, await unproven(agent)) == (used, True)
    agent.engine.forget_hooks()
    await agent.wait(60)
    assert (await agent.gaps(), await unproven(agent)) == ([], False)


async def test_a_gap_is_recorded_before_the_cursor_passes_it(host: FakeHost, image: str) -> None:
    agent = await host.agent().watch()
    await agent.wait()
    await agent.kill()
    await host.clock.advance(BEYOND_TOLERANCE)
    host.docker.overflow_ring()
    again = host.agent()
    again.engine.on("images", host.docker.cut_streams)
    await again.watch()
    await again.kill()
    third = await host.agent().watch()
    assert [cause for _, cause in await third.gaps()] == ["more happened than the engine remembers"]
