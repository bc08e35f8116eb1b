"""The tables: what they say, that they fit 80 columns, and that names from strangers do no harm."""

import asyncio
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console, RenderableType

from agent.adapters.mqtt import broker
from agent.core.protocol import payloads
from agent.fleet import status_view, terminal
from agent.fleet.feed import Feed
from agent.fleet.view import FleetView
from tests.support.fakes.broker import FakeBroker
from tests.support.fakes.clock import FakeClock
from tests.support.messages import (
    make_alert,
    make_decision,
    make_inventory,
    make_inventory_image,
    make_last_decision,
    make_outcome,
    make_status,
    topic,
)
from tests.support.proc import PATIENCE
from tests.support.times import START

NOW = START + timedelta(minutes=4)
DISK = payloads.Disk(total_bytes=2_000_000_000_000, used_bytes=1_530_000_000_000, reclaimable_bytes=312_400_000_000)
LONG = "a" * 63
EVIL = "evil[red]\x1b[31m\u202e\x07\r\nnext"


def render(what: RenderableType, width: int = 80, *, terminal_codes: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, force_terminal=terminal_codes).print(what)
    return out.getvalue()


def rows(what: RenderableType) -> list[str]:
    """Each line but the head, its columns parted by single spaces."""
    return [" ".join(line.split()) for line in render(what).splitlines()[1:]]


def make_fleet(*hosts: str) -> FleetView:
    fleet = FleetView("torchkeeper")
    for host in hosts:
        fleet.apply(topic("status", host), make_status().encode(), START)
        fleet.apply(
            topic("inventory", host), make_inventory(make_inventory_image(), host=host, disk=DISK).encode(), START
        )
    return fleet


def test_a_decision_is_one_line_newest_first() -> None:
    fleet = FleetView("torchkeeper")
    fleet.apply(topic("events"), make_decision(1, "d1", START - timedelta(days=2)).encode(), NOW)
    fleet.apply(topic("events"), make_outcome(2, "d1", START - timedelta(days=2)).encode(), NOW)
    fleet.apply(topic("events"), make_decision(3, "d2", START, image=image_ref("a:1", "a:2")).encode(), NOW)
    assert rows(terminal.decisions_view(fleet.decisions(), NOW)) == [
        "4 min ago gpu-07 a:1 +1 idle-ttl pending ~4.8 GB",
        "2 d ago gpu-07 teamai/a:1 idle-ttl removed 5.0 GB",
    ]


def image_ref(*references: str) -> payloads.ImageRef:
    return payloads.ImageRef(id="sha256:" + "1" * 64, references=list(references), size_bytes=1)


def test_an_image_is_one_line_for_all_hosts_that_have_it() -> None:
    fleet = make_fleet("a", "b")
    other = make_inventory_image("sha256:other", "redis:7", **{"class": "other"})
    untagged = make_inventory_image("sha256:abcdef012345678", "", last_used=START, deadline=NOW + timedelta(days=3))
    fleet.apply(
        topic("inventory", "b"), make_inventory(make_inventory_image(), other, untagged, host="b").encode(), START
    )
    assert rows(terminal.images_view(fleet, NOW)) == [
        "abcdef012345 2.9.0 1 9.0 GB 4 min ago in 3 d",
        "teamai/a:1 2.9.0 2 9.0 GB never recent",
        "Not shown, as they are not PyTorch: 1. --json has them.",
    ]


def test_an_image_of_which_a_container_runs_on_any_host_is_used_now() -> None:
    fleet = make_fleet("a")
    running = make_inventory_image(running=True, reason="in-use", last_used=START)
    fleet.apply(topic("inventory", "b"), make_inventory(running, host="b").encode(), START)
    assert rows(terminal.images_view(fleet, NOW))[0] == "teamai/a:1 2.9.0 2 9.0 GB now kept"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([{"action": "evict", "reason": "idle-ttl"}, {}], "due"),
        ([{"action": "evict", "reason": "idle-ttl", "held_by": "observe"}], "due (observe)"),
        ([{"reason": "recent", "deadline": NOW + timedelta(hours=5)}, {"reason": "in-use"}], "in 5 h"),
        ([{"reason": "in-use", "deadline": START}, {"reason": "in-use"}], "in-use"),
        ([{"reason": "in-use"}, {"reason": "pinned"}], "kept"),
    ],
)
def test_what_comes_next_of_an_image_is_what_comes_first_on_any_host(
    fields: list[dict[str, Any]], expected: str
) -> None:
    fleet = FleetView("torchkeeper")
    for number, own in enumerate(fields):
        fleet.apply(topic("inventory", f"h{number}"), make_inventory(make_inventory_image(**own)).encode(), START)
    assert rows(terminal.images_view(fleet, NOW))[0] == f"teamai/a:1 2.9.0 {len(fields)} 9.0 GB never {expected}"


def full_views() -> list[RenderableType]:
    fleet = make_fleet(LONG, "gpu-07")
    reference = f"registry.example/{'team/' * 20}image:{'x' * 100}"
    image = make_inventory_image(reference=reference, torch_version="2.9.0a0+" + "b" * 40, last_used=START)
    last = make_last_decision(references=[reference, "b"], outcome="would-remove")
    for host in (LONG, "gpu-07"):
        inventory = make_inventory(image, host=host, disk=DISK, left_out=100_000, decisions=(last,)).encode()
        fleet.apply(topic("inventory", host), inventory, START)
        fleet.apply(topic("alerts/disk", host), make_alert(message="x" * 200).encode(), START)
    return [
        status_view.status_view(fleet, NOW),
        terminal.decisions_view(fleet.decisions(), NOW),
        terminal.images_view(fleet, NOW),
    ]


def test_everything_fits_80_columns_and_keeps_each_row_on_a_line() -> None:
    for what in full_views():
        lines = render(what).splitlines()
        assert max(map(len, lines)) <= 80
        assert sum("gpu-07" in line or "registry" in line for line in lines) <= 4


def test_without_a_terminal_there_are_no_escape_codes_and_with_one_the_text_is_the_same() -> None:
    for what in full_views():
        plain, coloured = render(what), render(what, terminal_codes=True)
        assert "\x1b" not in plain
        assert "\x1b" in coloured


def test_names_from_strangers_are_neutralised_and_not_taken_for_markup() -> None:
    fleet = FleetView("torchkeeper")
    image = make_inventory_image(reference=EVIL, torch_version=EVIL, reason=EVIL)
    last = make_last_decision(references=[EVIL], reason=EVIL, outcome=EVIL)
    fleet.apply(topic("status"), make_status().encode(), START)
    fleet.apply(topic("inventory"), make_inventory(image, decisions=(last,)).encode(), START)
    fleet.apply(topic("alerts/x"), make_alert(message=EVIL).encode(), START)
    for what in (
        status_view.status_view(fleet, NOW),
        terminal.decisions_view(fleet.decisions(), NOW),
        terminal.images_view(fleet, NOW),
    ):
        shown = render(what, width=300)
        assert not set(shown) & set("\x1b\u202e\x07\r")
        assert "evil[red]?[31m????next" in shown


def test_an_empty_fleet_says_so_with_the_way_out() -> None:
    empty = FleetView("torchkeeper")
    assert "mqtt.url" in render(status_view.status_view(empty, NOW))
    assert "fleet images" in render(terminal.decisions_view([], NOW))
    assert "fleet status" in render(terminal.images_view(empty, NOW))


async def test_watching_draws_what_changes_and_says_when_the_broker_is_away() -> None:
    server, clock, out = FakeBroker(), FakeClock(), io.StringIO()
    server.retained[topic("status")] = make_status().encode()
    feed = Feed(server.collector_connector("viewer"), "torchkeeper", clock, quiet=0.01)
    console = Console(file=out, width=80, height=20, force_terminal=True)
    watching = asyncio.create_task(
        terminal.watch(feed, lambda view, height: status_view.status_view(view, clock.now(), height), console, clock)
    )
    second = broker.Message(topic("status", "gpu-08"), make_status().encode(), retain=True)
    story: list[tuple[str, Callable[[], object]]] = [
        ("gpu-07", lambda: server.route(second)),
        ("gpu-08", server.stop),
        ("Not up to date: fake:", server.start),
        ("No host has reported yet", watching.cancel),  # the broker forgot all that was retained
    ]
    for expected, change in story:
        async with asyncio.timeout(PATIENCE):
            while expected not in out.getvalue():
                await clock.advance(1)
                await asyncio.sleep(0.005)
        change()
    with pytest.raises(asyncio.CancelledError):
        await watching


async def test_watching_ends_with_the_reason_where_the_broker_was_never_there() -> None:
    server, clock = FakeBroker(), FakeClock()
    server.stop()
    feed = Feed(server.collector_connector("viewer"), "torchkeeper", clock, quiet=0.01)
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    watching = asyncio.create_task(terminal.watch(feed, lambda _, height: "", console, clock))
    await clock.advance(2)
    with pytest.raises(broker.BrokerUnavailable):
        await watching


async def test_a_screen_that_takes_long_to_draw_is_drawn_less_often() -> None:
    server, clock = FakeBroker(), FakeClock()
    server.retained[topic("status")] = make_status().encode()
    feed = Feed(server.collector_connector("viewer"), "torchkeeper", clock, quiet=0.01)
    drawn: list[float] = []

    def draw(view: FleetView, height: int) -> RenderableType:
        drawn.append(clock.monotonic())
        clock.freeze(2)
        return ""

    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    watching = asyncio.create_task(terminal.watch(feed, draw, console, clock))
    async with asyncio.timeout(PATIENCE):
        while len(drawn) < 3:
            await clock.advance(1)
            await asyncio.sleep(0.005)
    assert drawn[2] - drawn[1] >= 20
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


async def test_a_screen_is_as_high_as_the_console_with_its_last_line_at_the_bottom() -> None:
    server, clock, out = FakeBroker(), FakeClock(), io.StringIO()
    for number in range(50):
        server.retained[topic("status", f"gpu-{number:02}")] = make_status().encode()
    feed = Feed(server.collector_connector("viewer"), "torchkeeper", clock, quiet=0.01)
    console = Console(file=out, width=80, height=20, force_terminal=True)
    watching = asyncio.create_task(
        terminal.watch(feed, lambda view, height: status_view.status_view(view, clock.now(), height), console, clock)
    )
    async with asyncio.timeout(PATIENCE):
        while "Ctrl-C ends" not in out.getvalue():
            await clock.advance(1)
            await asyncio.sleep(0.005)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    frame = out.getvalue().split("Waiting for the broker")[1].split("\x1b[H")[-1]
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).rstrip() for line in frame.splitlines()]
    assert (len(lines), lines[0][:9], lines[-2], lines[-1][-12:]) == (
        20,
        "50 hosts:",
        "and 36 more hosts",
        "Ctrl-C ends.",
    )
