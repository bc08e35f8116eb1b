"""Changes of the fleet as server-sent events, on loopback with real clients."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from agent.fleet.collector.batch import Committed
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.row import COLUMNS
from agent.fleet.web.stream import Limits
from tests.support import live as make
from tests.support.live import BOOT, batch, committed, fleet
from tests.support.proc import PATIENCE
from tests.support.sse import Event, Reader, Server

HOST = COLUMNS.index("host")
VERSION = COLUMNS.index("version")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(fleet(make.status())).running() as running:
        yield running


def change(server: Server, host: str = "gpu-07", version: str = "2") -> None:
    server.live.apply(batch(make.info(host, version=version)), Committed())


def decide(server: Server, *rows: int, **fields: object) -> None:
    """Decisions are written, or written again with their outcome, and a tick is closed."""
    server.history.add(*rows, **fields)
    server.live.apply(batch(), committed(*rows))
    server.stream.step()


def ids(event: Event) -> list[int]:
    return [decision["id"] for decision in event.data]


async def test_a_viewer_is_greeted_and_told_when_to_come_back(server: Server) -> None:
    async with aiohttp.ClientSession() as session, session.get(server.url) as response:
        reader = Reader(response)
        hello = await reader.next()
        assert hello == Event(
            "hello", {"version": "0.9.1", "boot": BOOT, "interval_ms": 250, "broker": "connected"}, ""
        )
        assert reader.retry is not None
        assert 1000 <= reader.retry <= 5000
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"


async def test_a_viewer_without_a_position_gets_a_snapshot_first(server: Server) -> None:
    async with server.viewer() as viewer:
        first = await viewer.next()
        assert (first.name, first.id, first.data["at"]) == ("snapshot", f"{BOOT}.1.0", f"{BOOT}.1.0")
        assert [row[HOST] for row in first.data["hosts"]] == ["gpu-07"]
        change(server)
        server.stream.step()
        assert [row[VERSION] for row in (await viewer.until("hosts")).data] == ["2"]


async def test_changes_come_as_named_events_and_the_last_has_the_position(server: Server) -> None:
    server.live.apply(batch(make.status("gone")), Committed())
    server.stream.step()
    async with server.viewer(f"{BOOT}.2.0") as viewer:
        change(server)
        server.live.apply(batch(*make.cleared("gone")), Committed())
        server.live.apply(batch(make.alert("a", severity="critical"), make.alert("b"), make.no_alert("b")), Committed())
        server.history.add(91)
        server.live.apply(batch(), committed(91))
        server.stream.step()
        hosts, gone, alerts, decisions = await viewer.take(4)
        row = dict(zip(COLUMNS, hosts.data[0], strict=True))
        assert (hosts.name, row["host"], row["version"], row["criticals"]) == ("hosts", "gpu-07", "2", 1)
        assert (gone.name, gone.data) == ("gone", ["gone"])
        raised = {"id": "a", "severity": "critical", "message": "nearly full", "since": "2026-03-01T12:00:00Z"}
        ended = {"host": "gpu-07", "id": "b", "until": "2026-03-01T12:00:00Z"}
        assert (alerts.name, alerts.data) == ("alerts", [{"host": "gpu-07", **raised}, ended])
        assert (decisions.name, decisions.data) == (
            "decisions",
            [server.history.decisions[91].model_dump(mode="json")],
        )
        assert [event.id for event in (hosts, gone, alerts, decisions)] == ["", "", "", f"{BOOT}.3.91"]


async def test_a_viewer_that_comes_back_gets_only_what_it_lacks(server: Server) -> None:
    async with server.viewer(f"{BOOT}.1.0") as viewer:
        change(server, "a")
        server.stream.step()
        await viewer.next()
        last = viewer.last_id
    for host, version in (("b", "1"), ("c", "1"), ("b", "2")):
        change(server, host, version)
        server.stream.step()
    async with server.viewer(last_id=last) as viewer:
        missed = await viewer.next()
        assert (sorted(row[HOST] for row in missed.data), missed.id) == (["b", "c"], f"{BOOT}.5.0")


async def test_the_last_event_id_wins_over_the_address(server: Server) -> None:
    change(server)
    server.stream.step()
    async with server.viewer(f"{BOOT}.1.0", last_id=f"{BOOT}.2.0") as viewer:
        change(server, "other")
        server.stream.step()
        assert [row[HOST] for row in (await viewer.next()).data] == ["other"]


async def test_a_viewer_of_another_run_starts_again_and_decisions_go_on_from_its_own() -> None:
    live = LiveFleet(BOOT, last_decision=93)
    live.apply(batch(make.status()), Committed())
    server = Server(live)
    server.history.add(91, 92, 93)
    async with server.running(), server.viewer("a000.700.91") as viewer:
        reset, decisions = await viewer.take(2)
        assert (reset.name, reset.data, reset.id) == ("reset", {}, f"{BOOT}.1.91")
        assert (decisions.name, ids(decisions), decisions.id) == ("decisions", [92, 93], f"{BOOT}.1.93")


async def test_a_viewer_that_has_more_decisions_than_a_restored_history_goes_on_from_that(server: Server) -> None:
    async with server.viewer("a000.700.91") as viewer:
        assert (await viewer.next()).id == f"{BOOT}.1.0"
        decide(server, 1)
        assert ids(await viewer.until("decisions")) == [1]


@pytest.mark.parametrize("since", ["", "x", "b1f2.1", "b1f2.99.0", "b1f2.-1.0"])
async def test_what_is_no_position_starts_again(server: Server, since: str) -> None:
    async with server.viewer(since) as viewer:
        assert (await viewer.next()).name == "reset"


async def test_after_a_reset_no_change_since_a_snapshot_of_the_last_second_is_missing(server: Server) -> None:
    snapshot = await server.snapshots.current()  # is what the viewer may get for a second
    change(server, version="3")
    server.stream.step()
    async with server.viewer("a000.1.0") as viewer:
        reset, hosts = await viewer.take(2)
        assert reset.id == str(snapshot.position)
        assert [row[VERSION] for row in hosts.data] == ["3"]


async def test_an_outcome_comes_as_its_decision_again_also_to_a_viewer_that_was_away(server: Server) -> None:
    async with server.viewer(f"{BOOT}.1.0") as viewer:
        decide(server, 1, 2)
        assert ids(await viewer.next()) == [1, 2]
        decide(server, 1, outcome="removed")
        again = await viewer.next()
        assert [(found["id"], found["outcome"]) for found in again.data] == [(1, "removed")]
        last = viewer.last_id
    decide(server, 2, outcome="failed")
    decide(server, 3)
    async with server.viewer(last_id=last) as viewer:
        missed = await viewer.next()
        assert [(found["id"], found["outcome"]) for found in missed.data] == [(2, "failed"), (3, None)]


async def test_many_decisions_come_in_pages_and_none_is_missing_or_twice(server: Server) -> None:
    async with server.viewer(f"{BOOT}.1.0") as viewer:
        decide(server, *range(1, 251))
        pages = await viewer.take(3)
        assert [len(page.data) for page in pages] == [100, 100, 50]
        assert [row for page in pages for row in ids(page)] == list(range(1, 251))
        assert [page.id for page in pages] == [f"{BOOT}.2.100", f"{BOOT}.2.200", f"{BOOT}.2.250"]


async def test_large_decisions_come_in_smaller_pages(server: Server) -> None:
    async with server.viewer(f"{BOOT}.1.0") as viewer:
        decide(server, *range(1, 6), explanation="x" * 240_000)
        pages = await viewer.take(3)
        assert [ids(page) for page in pages] == [[1, 2], [3, 4], [5]]
        assert [page.id for page in pages] == [f"{BOOT}.2.2", f"{BOOT}.2.4", f"{BOOT}.2.5"]


async def test_a_viewer_far_behind_is_told_which_decisions_it_is_not_sent(server: Server) -> None:
    decide(server, *range(1, 5001))
    async with server.viewer(f"{BOOT}.1.91") as viewer:
        skipped, decisions = await viewer.take(2)
        assert (skipped.name, skipped.data) == ("skipped", {"after": 91, "until": 4900})
        assert ids(decisions) == list(range(4901, 5001))
        decide(server, 3000, 4200, outcome="removed")
        assert ids(await viewer.next()) == [4200]  # the other one is no longer on any page


async def test_names_of_any_kind_stay_text_in_one_event(server: Server) -> None:
    name = '<img src=x onerror=alert(1)>\r\n\r\ndata: {}\n\nevent: reset\u2028\u2029\x85\x0b\x00"\ud800'
    written = name.encode(errors="replace").decode()
    async with server.viewer(f"{BOOT}.1.0") as viewer:
        server.live.apply(batch(make.alert(message=written)), Committed())
        server.history.add(1, references=[written], explanation=written)
        server.live.apply(batch(make.info(version=written)), committed(1))
        server.stream.step()
        hosts, alerts, decisions = await viewer.take(3)
        assert hosts.data[0][VERSION] == written
        assert alerts.data[0]["message"] == written
        assert (decisions.data[0]["references"], decisions.data[0]["explanation"]) == ([written], written)
        change(server, version="after it")
        server.stream.step()
        assert [row[VERSION] for row in (await viewer.next()).data] == ["after it"]


async def test_viewers_that_lack_the_same_share_one_frame(server: Server) -> None:
    viewers = [server.viewer(f"{BOOT}.1.0") for _ in range(20)]
    entered = [await viewer.__aenter__() for viewer in viewers]
    decide(server, 1)
    assert [ids(await viewer.next()) for viewer in entered] == [[1]] * 20
    assert server.history.reads == 1
    for viewer in viewers:
        await viewer.__aexit__(None, None, None)


async def test_the_state_of_the_broker_is_news_and_a_new_viewer_is_told_it(server: Server) -> None:
    async with server.viewer(f"{BOOT}.1.0") as viewer:
        server.broker, server.error = "unreachable", "connection refused"
        server.stream.step()
        gone = {
            "broker": "unreachable",
            "since": "2026-03-01T12:00:00Z",
            "database": "working",
            "detail": "connection refused",
            "behind_events": 0,
        }
        assert await viewer.next() == Event("monitor", gone, "")
        async with server.viewer(f"{BOOT}.1.0") as later:
            assert await later.next() == Event("monitor", gone, "")
        server.broker, server.error = "connected", ""
        server.stream.step()
        back = (await viewer.next()).data
        assert (back["broker"], back["detail"]) == ("connected", "")


async def test_how_far_the_collector_is_behind_is_told_at_most_once_a_second(server: Server) -> None:
    async with server.viewer(f"{BOOT}.1.0") as viewer:
        for behind in (1000, 900, 800):
            await server.clock.advance(0.6)
            server.behind = behind
            server.stream.step()
        await server.clock.advance(0.3)
        told = [event.data["behind_events"] for event in await viewer.take(2)]
        assert told == [1000, 800]  # a second and two seconds after the start


async def test_viewers_stay_while_the_history_cannot_be_read_and_then_get_everything(server: Server) -> None:
    async with server.viewer(f"{BOOT}.1.0") as viewer:
        server.history.fails = True
        decide(server, 1)
        await asyncio.sleep(0.05)
        decide(server, 1, outcome="removed")
        await asyncio.sleep(0.05)
        server.history.fails = False
        decide(server, 2)
        found = await viewer.next()
        assert [(each["id"], each["outcome"]) for each in found.data] == [(1, "removed"), (2, None)]


async def test_a_viewer_too_many_is_told_to_come_later() -> None:
    server = Server(fleet(make.status()), limits=Limits(viewers=1))
    async with server.running(), server.viewer(f"{BOOT}.1.0"):
        async with aiohttp.ClientSession() as session, session.get(server.url) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "30")
        assert server.stream.viewers == 1


async def test_a_quiet_stream_shows_that_it_is_alive() -> None:
    server = Server(fleet(make.status()), limits=Limits(ping_every=0.05))
    async with server.running(), server.viewer(f"{BOOT}.1.0") as viewer:
        await asyncio.sleep(0.2)
        change(server)
        server.stream.step()
        await viewer.next()
        assert viewer.comments[0] == "ping"


async def test_a_viewer_that_left_is_noticed(server: Server) -> None:
    async with server.viewer(f"{BOOT}.1.0"):
        assert server.stream.viewers == 1
    async with asyncio.timeout(PATIENCE):
        while server.stream.viewers:
            change(server, version=f"{server.live.position.tick} later")
            server.stream.step()
            await asyncio.sleep(0.02)


async def test_the_end_of_the_server_ends_the_streams_at_once() -> None:
    server = Server(fleet(make.status()))
    async with server.running(), server.viewer(f"{BOOT}.1.0") as viewer:
        await server.stream._close(None)  # type: ignore[arg-type]
        with pytest.raises(EOFError):
            await viewer.next()


async def test_ticks_are_a_second_apart_while_much_changes(server: Server) -> None:
    assert server.stream.step() == 0.25
    server.live.apply(batch(*(make.status(f"h{number}") for number in range(501))), Committed())
    assert server.stream.step() == 1.0
    assert server.stream.step() == 0.25


async def test_an_error_that_ends_the_ticks_is_told_to_whoever_watches_them(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = asyncio.create_task(server.stream.watch())
    await server.clock.advance(1)
    assert not watching.done()
    monkeypatch.setattr(server.live, "tick", None)
    await server.clock.advance(1)
    with pytest.raises(TypeError):
        await watching


async def test_only_a_get_opens_a_stream(server: Server) -> None:
    async with aiohttp.ClientSession() as session, session.post(server.url, data=json.dumps({})) as response:
        assert response.status == 405
