"""A proxy on a Unix socket in front of an engine's: each request passes, or gets a fault that the test has set.

The faults are those of a real engine and of the connection to it: a refused connection, an answer that never
comes, is cut, or is lost after the engine has acted, and the engine's own error codes. The proxy runs in the test's
event loop; clients may keep their connections open.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote

HEAD_END = b"\r\n\r\n"
CHUNK = 65536  # bytes read at once


class Kind(StrEnum):
    REFUSE = "refuse"  # the connection ends, and the request does not reach the engine
    HANG = "hang"  # no answer ever, and the request does not reach the engine
    ANSWER = "answer"  # the proxy answers with a status, and the request does not reach the engine
    CUT = "cut"  # the engine acts, and a part of its answer arrives
    LOSE = "lose"  # the engine acts, and nothing of its answer arrives
    GARBLE = "garble"  # the engine acts, and its complete answer arrives unreadable


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault for a request."""

    kind: Kind
    status: int = 0  # of an answer
    after: int | None = None  # bytes of a body that arrive before a cut; None: half of it


REFUSE, HANG, LOSE, HALF = Fault(Kind.REFUSE), Fault(Kind.HANG), Fault(Kind.LOSE), Fault(Kind.CUT)
GARBLE = Fault(Kind.GARBLE)


def answer(status: int) -> Fault:
    """An error status with a message in the engine's format."""
    return Fault(Kind.ANSWER, status)


def cut(after: int) -> Fault:
    """Cut the answer after so many bytes of its body, which arrive at once."""
    return Fault(Kind.CUT, after=after)


@dataclass(slots=True)
class Call:
    """One request. `status` is the engine's, or 0 if the request did not reach it."""

    method: str
    target: str  # path and query, decoded, without the API version
    fault: Fault | None = None
    status: int = 0

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def streams(self) -> bool:
        """Whether the answer is an endless stream."""
        return self.path == "/events" and "until=" not in self.target


@dataclass(slots=True)
class Rule:
    """A fault, or a function of the test, for some of the matching requests."""

    method: str
    pattern: re.Pattern[str]
    fault: Fault | None
    nth: int  # the first request that it is for, from 1
    times: int | None  # None: no limit
    before: Callable[[], Awaitable[None]] | None  # runs while the request waits
    seen: int = 0

    def meets(self, call: Call) -> bool:
        if self.method != call.method or not self.pattern.search(call.target):
            return False
        self.seen += 1
        return self.nth <= self.seen and (self.times is None or self.seen < self.nth + self.times)


@dataclass(slots=True)
class Hold:
    """A request that waits to be let through."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        self.reached.set()
        await self.release.wait()


class Proxy:
    """Forwards to one engine. `calls` has every request so far, in the order of arrival."""

    def __init__(self, engine: Path, socket: Path) -> None:
        self.url = f"unix://{socket}"
        self.calls: list[Call] = []
        self._engine = engine
        self._rules: list[Rule] = []
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # Faults

    def on(
        self,
        method: str,
        pattern: str,
        fault: Fault | None = None,
        *,
        nth: int = 1,
        times: int | None = 1,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Set a rule from the n-th matching request on. The first rule that applies to a request decides."""
        self._rules.append(Rule(method, re.compile(pattern), fault, nth, times, before))

    def hold(self, method: str, pattern: str, *, nth: int = 1) -> Hold:
        """Hold one request back until it is released."""
        held = Hold()
        self.on(method, pattern, nth=nth, before=held.wait)
        return held

    def heal(self) -> None:
        """Remove all rules: from now on every request passes."""
        self._rules.clear()

    def met(self) -> bool:
        """Whether every rule was applied to a request."""
        return all(rule.seen >= rule.nth for rule in self._rules)

    def cut_streams(self) -> int:
        """End all event streams at once. Returns how many there were."""
        cutting, self._streams = self._streams, set()
        for writer in cutting:
            writer.transport.abort()
        return len(cutting)

    # Forwarding

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="proxy-connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while await self._request(reader, writer):
                    pass
        finally:
            self._streams.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request of a connection. Returns False if it is the connection's last one."""
        head = await reader.readuntil(HEAD_END)
        body = await reader.readexactly(int(_header(head, "content-length") or 0))
        call = _call(head)
        self.calls.append(call)
        rule = next((rule for rule in self._rules if rule.meets(call)), None)
        if rule is not None:
            call.fault = rule.fault
            if rule.before is not None:
                await rule.before()
        return await self._serve_call(call, head + body, reader, writer)

    async def _serve_call(
        self, call: Call, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        kind = call.fault.kind if call.fault is not None else None
        if kind is Kind.REFUSE:
            return False
        if kind is Kind.HANG:
            await reader.read()  # until the client gives up
            return False
        if kind is Kind.ANSWER and call.fault is not None:
            writer.write(_error(call.fault.status))
            await writer.drain()
            return True
        return await self._forward(call, request, reader, writer)

    async def _forward(
        self, call: Call, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        upstream, sink = await asyncio.open_unix_connection(self._engine)
        try:
            sink.write(_last_on_its_connection(request))
            head = await upstream.readuntil(HEAD_END)
            call.status = int(head.split(b" ", 2)[1])
            if call.fault is not None:
                await _pass_part(call, head, upstream, writer)
                return False
            writer.write(_without_connection(head))
            if not call.streams:
                await _pass_all(upstream, writer)
                return True
            self._streams.add(writer)
            await _until_first(_pass_all(upstream, writer), reader.read())
            return False
        finally:
            sink.close()


async def _pass_all(upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await upstream.read(CHUNK):
        writer.write(chunk)
        await writer.drain()


async def _pass_part(call: Call, head: bytes, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    after = call.fault.after if call.fault is not None else None
    if after is None:
        whole = b"" if call.streams else await upstream.read()
        if call.fault is GARBLE:
            writer.write(_answer("200 OK", b"<html>"))
        elif call.fault is HALF:
            writer.write(head + whole[: len(whole) // 2] if whole else head[: len(head) // 2])
        return
    writer.write(_without_connection(head))
    left = after
    while left and (chunk := await upstream.read(min(CHUNK, left))):
        writer.write(chunk)
        left -= len(chunk)


async def _until_first(*work: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _call(head: bytes) -> Call:
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    return Call(method, re.sub(r"^/v\d+\.\d+(?=/)", "", unquote(target)))


def _header(head: bytes, name: str) -> str:
    found = re.search(rf"\r\n{name}:\s*([^\r]*)", head.decode(), re.IGNORECASE)
    return found[1] if found else ""


def _without_connection(head: bytes) -> bytes:
    return re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)


def _last_on_its_connection(request: bytes) -> bytes:
    """Make the engine close the connection after its answer, so that the end of the answer needs no parsing."""
    head, _, body = request.partition(HEAD_END)
    return _without_connection(head) + b"\r\nConnection: close" + HEAD_END + body


def _error(status: int) -> bytes:
    return _answer(f"{status} Fault", json.dumps({"message": f"a fault of the test's own: {status}"}).encode())


def _answer(status: str, body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + HEAD_END + body


@asynccontextmanager
async def before(engine: Path, folder: Path) -> AsyncIterator[Proxy]:
    """Run a proxy for the block, in front of the engine at a socket, on a socket of its own in a folder."""
    socket = folder / "proxy.sock"
    proxy = Proxy(engine, socket)
    server = await asyncio.start_unix_server(proxy.connected, socket)
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
