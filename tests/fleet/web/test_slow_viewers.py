"""Viewers that lose their connection, read slowly, or do not read at all."""

import asyncio
import random
import socket
from contextlib import suppress

from agent.fleet.collector.batch import Committed
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.row import COLUMNS, HostRow
from agent.fleet.live.snapshot import encode_rows
from agent.fleet.web.stream import Limits
from tests.support import live as make
from tests.support.live import BOOT, batch, committed, fleet
from tests.support.proc import PATIENCE
from tests.support.sse import Event, Server

HOSTS = 300
STEPS = 400
SLOW_STEPS = 100  # of 45 kB each
BUFFER = 64 * 1024  # bytes on each side of a slow connection


class Table:
    """What a page keeps: rows by host, alerts, and each decision as it came."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[object, ...]] = {}
        self.alerts: set[tuple[str, str]] = set()
        self.decisions: list[tuple[int, str | None]] = []

    def apply(self, event: Event) -> None:
        match event.name:
            case "snapshot":
                self.rows = {row[0]: tuple(row) for row in event.data["hosts"]}
            case "hosts":
                self.rows |= {row[0]: tuple(row) for row in event.data}
            case "gone":
                self.rows = {host: row for host, row in self.rows.items() if host not in event.data}
            case "alerts":
                for alert in event.data:
                    change = self.alerts.discard if "until" in alert else self.alerts.add
                    change((alert["host"], alert["id"]))
            case "decisions":
                self.decisions += [(found["id"], found["outcome"]) for found in event.data]


def rows_of(live: LiveFleet) -> dict[str, tuple[object, ...]]:
    return {row.host: values(row) for row in live.rows()}


def values(row: HostRow) -> tuple[object, ...]:
    return tuple(getattr(row, column) for column in COLUMNS)


def something_happens(server: Server, chance: random.Random, number: int) -> None:
    host = f"gpu-{chance.randrange(20)}"
    change = chance.choice([
        make.info(host, version=str(number)),
        make.alert(host=host, severity="critical"),
        make.no_alert(host=host),
        *make.cleared(host),
    ])  # fmt: skip
    server.live.apply(batch(make.status(host), change), Committed())
    if chance.random() < 0.1:
        server.live.apply(batch(*make.cleared(host), make.no_alert(host=host)), Committed())
    decided = server.history.decisions
    if chance.random() < 0.5:
        write(server, len(decided) + 1)
    pending = [row for row, decision in decided.items() if decision.outcome is None]
    if pending and chance.random() < 0.5:
        write(server, chance.choice(pending), outcome="removed")


def write(server: Server, row: int, **fields: str) -> None:
    server.history.add(row, **fields)
    server.live.apply(batch(), committed(row))


async def test_a_viewer_that_is_cut_off_again_and_again_misses_nothing_and_gets_no_decision_twice() -> None:
    server, chance, table = Server(fleet(make.status())), random.Random(7), Table()
    last, cuts = f"{BOOT}.0.0", 0

    async def happen() -> None:
        for number in range(STEPS):
            something_happens(server, chance, number)
            server.stream.step()
            await asyncio.sleep(0.002)

    def is_complete() -> bool:
        return last == str(server.live.position)

    async with server.running():
        work = asyncio.create_task(happen())
        async with asyncio.timeout(PATIENCE):
            while not (work.done() and is_complete()):
                async with server.viewer(last_id=last) as viewer:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(chance.random() * 0.03):
                            while not (work.done() and is_complete()):
                                table.apply(await viewer.next())
                                last = viewer.last_id
                                if chance.random() < 0.1:  # with the rest of a frame unread
                                    break
                cuts += 1
        await work
    assert cuts > 10
    assert table.rows == rows_of(server.live)
    assert table.alerts == {(alert.host, alert.id) for alert in server.live.alerts()}
    seen = dict(table.decisions)
    assert seen == {row: decision.outcome for row, decision in server.history.decisions.items()}
    assert len(set(table.decisions)) == len(table.decisions)


async def test_the_same_viewer_goes_on_after_the_monitor_was_killed_and_started_again() -> None:
    first, table = Server(fleet(make.status("a"), make.status("b"))), Table()
    async with first.running(), first.viewer() as viewer:
        first.history.add(1, 2)
        first.live.apply(batch(), committed(1, 2))
        first.stream.step()
        for event in await viewer.take(2):
            table.apply(event)
        last = viewer.last_id
    second = Server(LiveFleet("c0de", first.live.rows(), last_decision=4))
    second.history.add(1, 2, 3, 4)
    second.live.apply(batch(make.status("b"), make.status("c")), Committed())
    async with second.running(), second.viewer(last_id=last) as viewer:
        second.stream.step()
        assert (await viewer.next()).name == "reset"
        async with second.viewer() as snapshot:  # as the page does by GET
            table.apply(await snapshot.next())
        table.apply(await viewer.until("decisions"))
    assert table.rows == rows_of(second.live)
    assert [row for row, _ in table.decisions] == [1, 2, 3, 4]


async def test_a_slow_viewer_gets_merged_frames_and_nothing_waits_for_it_in_memory() -> None:
    hosts = [f"gpu-{number}" for number in range(HOSTS)]
    server = Server(
        fleet(*(make.status(host) for host in hosts)), limits=Limits(send_timeout=PATIENCE), send_buffer=BUFFER
    )
    async with server.running():
        slow = await open_slowly(server, f"{BOOT}.1.0", viewers=1)
        for number in range(SLOW_STEPS):
            server.live.apply(batch(*(make.info(host, version=f"{number:03}") for host in hosts)), Committed())
            server.stream.step()
            await asyncio.sleep(0.001)
        all_frames = SLOW_STEPS * len(encode_rows(server.live.rows()))
        received = await read_until(slow, f'"{SLOW_STEPS - 1:03}"', HOSTS)
        assert len(received) < all_frames / 4
        assert received.count("event: hosts") < SLOW_STEPS / 4
        slow.close()


async def test_a_viewer_that_does_not_read_is_ended_and_does_not_hinder_others() -> None:
    hosts = [f"gpu-{number}" for number in range(HOSTS)]
    server = Server(fleet(*(make.status(host) for host in hosts)), limits=Limits(send_timeout=0.5), send_buffer=BUFFER)
    async with server.running(), server.viewer(f"{BOOT}.1.0") as quick:
        stalled = await open_slowly(server, f"{BOOT}.1.0", viewers=2)
        number = 0
        async with asyncio.timeout(PATIENCE):
            while server.stream.viewers > 1:
                number += 1
                server.live.apply(batch(*(make.info(host, version=str(number)) for host in hosts)), Committed())
                await server.clock.advance(0.25)
                await quick.next()
        stalled.close()
        assert server.stream.viewers == 1


async def open_slowly(server: Server, since: str, viewers: int) -> socket.socket:
    """A connection that has sent its request, and has not read a byte."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    made.setblocking(False)
    address, _, path = server.url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, (host, int(port)))
    await loop.sock_sendall(made, f"GET /{path}?since={since} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        while server.stream.viewers < viewers:
            await asyncio.sleep(0.01)
            server.stream.step()
    return made


async def read_until(made: socket.socket, text: str, count: int) -> str:
    """Everything until the last 100 kB have the text this often."""
    loop, received = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(PATIENCE):
        while received[-100_000:].count(text.encode()) < count:
            more = await loop.sock_recv(made, 1 << 20)
            assert more, "the server ended the connection"
            received += more
    return received.decode()
