"""The proxy forwards requests, and applies the faults that are set."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support import proc, proxy
from tests.support.proxy import GARBLE, HALF, HANG, LOSE, REFUSE, Fault, Proxy

SHORT = 0.3  # seconds, for an answer that never comes
LIST = b'[{"Id": "a"}, {"Id": "b"}]'


class Daemon:
    """A minimal engine: a list, a delete, and an endless stream."""

    def __init__(self) -> None:
        self.deleted = 0
        self.resumed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(proxy.HEAD_END)).decode()
            if "/events" in head:
                await self._stream(writer)
            self.deleted += head.startswith("DELETE")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(LIST) + LIST)
        finally:
            writer.close()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
        await self.resumed.wait()
        writer.write(b"7\r\nsecond\n\r\n")
        await asyncio.Event().wait()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    made, tasks = Daemon(), []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(made.serve(reader, writer)))

    async with await asyncio.start_unix_server(connected, tmp_path / "engine.sock"):
        yield made
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def between(daemon: Daemon, tmp_path: Path) -> AsyncIterator[Proxy]:
    async with proxy.before(tmp_path / "engine.sock", tmp_path) as made:
        yield made


@pytest.fixture
async def client(between: Proxy) -> AsyncIterator[aiohttp.ClientSession]:
    socket = aiohttp.UnixConnector(between.url.removeprefix("unix://"))
    limits = aiohttp.ClientTimeout(total=proc.PATIENCE)
    async with aiohttp.ClientSession("http://engine", connector=socket, timeout=limits) as made:
        yield made


async def get(client: aiohttp.ClientSession, path: str = "/v1.41/images/json?all=1") -> tuple[int, bytes]:
    async with client.get(path) as response:
        return response.status, await response.read()


async def test_a_request_passes_and_is_logged(client: aiohttp.ClientSession, between: Proxy) -> None:
    assert await get(client) == (200, LIST)
    assert between.calls == [proxy.Call("GET", "/images/json?all=1", None, 200)]


async def test_a_client_keeps_its_connection(client: aiohttp.ClientSession, between: Proxy) -> None:
    for _ in range(3):
        await get(client)
    assert len(between._tasks) == 1


async def test_only_the_calls_that_are_meant_fail(client: aiohttp.ClientSession, between: Proxy) -> None:
    between.on("GET", "/images", proxy.answer(409), nth=2, times=2)
    assert [(await get(client))[0] for _ in range(4)] == [200, 409, 409, 200]
    assert (await get(client, "/containers/json"))[0] == 200


async def test_nothing_fails_once_it_is_healed(client: aiohttp.ClientSession, between: Proxy) -> None:
    between.on("GET", "/", proxy.answer(500), times=None)
    assert (await get(client))[0] == 500
    between.heal()
    assert (await get(client))[0] == 200


@pytest.mark.parametrize(
    ("fault", "error", "reaches"),
    [
        (REFUSE, aiohttp.ServerDisconnectedError, False),
        (HANG, TimeoutError, False),
        (LOSE, aiohttp.ServerDisconnectedError, True),
        (HALF, aiohttp.ClientPayloadError, True),
        (proxy.cut(5), aiohttp.ClientPayloadError, True),
    ],
    ids=["refused", "no answer", "lost answer", "half an answer", "five bytes"],
)
async def test_a_fault_ends_the_call_after_or_before_the_deed(
    client: aiohttp.ClientSession, between: Proxy, daemon: Daemon, fault: Fault, error: type[Exception], reaches: bool
) -> None:
    between.on("DELETE", "/images/a", fault, times=None)
    limits = aiohttp.ClientTimeout(total=SHORT if fault is HANG else proc.PATIENCE)
    with pytest.raises(error):
        async with client.delete("/v1.41/images/a", timeout=limits) as response:
            await response.read()
    assert bool(daemon.deleted) == reaches  # twice if the client repeats the request by itself


async def test_a_garbled_answer_is_whole_and_the_deed_is_done(
    client: aiohttp.ClientSession, between: Proxy, daemon: Daemon
) -> None:
    between.on("DELETE", "/images/a", GARBLE)
    async with client.delete("/v1.41/images/a") as response:
        assert (response.status, await response.read()) == (200, b"<html>")
    assert daemon.deleted == 1


async def test_a_stream_passes_unbuffered_and_is_cut_at_will(
    client: aiohttp.ClientSession, between: Proxy, daemon: Daemon
) -> None:
    async with client.get("/events?since=1") as response:
        assert await response.content.readline() == b"first\n"
        daemon.resumed.set()
        assert await response.content.readline() == b"second\n"
        assert between.cut_streams() == 1
        with pytest.raises(aiohttp.ClientError):
            await response.content.readline()
    assert between.cut_streams() == 0


async def test_a_stream_that_its_reader_left_is_none(client: aiohttp.ClientSession, between: Proxy) -> None:
    async with client.get("/events?since=1") as response:
        await response.content.readline()
        response.close()
    await proc.eventually_async(lambda: asyncio.sleep(0, not between._streams))


async def test_a_held_request_waits_until_it_is_released(
    client: aiohttp.ClientSession, between: Proxy, daemon: Daemon
) -> None:
    held = between.hold("DELETE", "/images/a")
    deleting = asyncio.create_task(client.delete("/images/a"))
    await held.reached.wait()
    assert daemon.deleted == 0
    held.release.set()
    (await deleting).close()
    assert daemon.deleted == 1
