"""What viewers of the stream cost: CPU of the server beside a bare aiohttp server that writes the same bytes.

The server is a process of its own; the viewers are in this one.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
from aiohttp import web

from agent.adapters.clock import SystemClock
from agent.fleet.collector.batch import Committed
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.row import HostRow
from agent.fleet.live.snapshot import encode_rows, make
from agent.fleet.web import documents, events
from agent.fleet.web.snapshots import Snapshots
from agent.fleet.web.stream import INTERVAL, Stream
from tests.benchmarks.timing import median
from tests.support.live import batch, info
from tests.support.proc import ROOT

HOSTS = 10_000
VIEWERS = 200
CHANGES = 60  # a second
SECONDS = 20.0  # looked at
_EACH_TICK = round(CHANGES * INTERVAL)


def measure() -> list[str]:
    rows = _rows()
    encode = median(lambda: encode_rows(rows))
    whole = median(lambda: make(LiveFleet("b").position, rows))
    floor, _, _ = asyncio.run(_load("floor"))
    share, memory, received = asyncio.run(_load("serve"))
    return [
        f"snapshot of {HOSTS} hosts            encode {1000 * encode:.0f} ms, with gzip {1000 * whole:.0f} ms",
        f"{VIEWERS} viewers, {CHANGES} changes/s         {100 * share:.2f} % of a core, "
        f"{share / floor:.1f} x a bare aiohttp server ({100 * floor:.2f} %); "
        f"{received / VIEWERS / SECONDS / 1000:.1f} kB/s each",
        f"resident, with {HOSTS} hosts          {memory[1]:.0f} MB, {memory[1] - memory[0]:+.1f} MB in {SECONDS:.0f} s",
    ]


async def _load(kind: str) -> tuple[float, tuple[float, float], int]:
    """Share of a core, resident MB before and after, and the bytes that all viewers got."""
    with _server(kind) as (process, port):
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(VIEWERS)]
        for _, writer in connections:
            writer.write(b"GET /api/stream?since=b.0.0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        taken = [0]
        readers = [asyncio.create_task(_read(reader, taken)) for reader, _ in connections]
        await asyncio.sleep(5)  # greetings, imports and the first frames
        before, memory, taken[0] = process.cpu_times(), process.memory_info().rss / 1e6, 0
        await asyncio.sleep(SECONDS)
        after, received = process.cpu_times(), taken[0]
        for reader in readers:
            reader.cancel()
        for _, writer in connections:
            writer.close()
        used = after.user + after.system - before.user - before.system
        return used / SECONDS, (memory, process.memory_info().rss / 1e6), received


async def _read(reader: asyncio.StreamReader, taken: list[int]) -> None:
    while data := await reader.read(1 << 16):
        taken[0] += len(data)


@contextmanager
def _server(kind: str) -> Iterator[tuple[psutil.Process, int]]:
    command = [sys.executable, "-m", "tests.benchmarks.viewers", kind]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield psutil.Process(process.pid), int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def _rows() -> list[HostRow]:
    return [
        HostRow(
            host=f"gpu-{number:05}", state="online", mode="enforce", version="0.9.1", last_seen=1_790_000_000_000,
            images=155, disk_used_bytes=2_900_000_000_000, disk_total_bytes=3_800_000_000_000,
            reclaimable_bytes=412_000_000_000, next_eviction=1_790_000_500_000, last_outcome="removed",
        )
        for number in range(HOSTS)
    ]  # fmt: skip


async def _serve(app: web.Application) -> None:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def _serve_stream() -> None:
    live, clock = LiveFleet("b", _rows()), SystemClock()

    async def no_decisions(_row: int, _limit: int) -> list[documents.Decision]:
        return []

    def health() -> documents.Health:
        return documents.Health(broker="connected", behind_events=0, last_commit=None)

    app = web.Application()
    Stream(live, Snapshots(live, clock), no_decisions, health, clock, "0").attach(app)
    changing = asyncio.create_task(_change(live, clock))
    await _serve(app)
    await changing


async def _change(live: LiveFleet, clock: SystemClock) -> None:
    number = 0
    while True:
        for _ in range(_EACH_TICK):
            number += 1
            change = info(f"gpu-{number % HOSTS:05}", at=clock.now(), version=f"{number:05}")
            live.apply(batch(change, at=clock.now()), Committed())
        await asyncio.sleep(INTERVAL)


async def _serve_floor() -> None:
    """The same bytes at the same times, and nothing to find out."""
    frame = events.event("hosts", encode_rows(_rows()[:_EACH_TICK]))

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(frame)
                await asyncio.sleep(INTERVAL)
        return response

    app = web.Application()
    app.router.add_get("/api/stream", handle)
    await _serve(app)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(_serve_stream())
        case ["floor"]:
            asyncio.run(_serve_floor())
        case _:
            print("\n".join(measure()))
