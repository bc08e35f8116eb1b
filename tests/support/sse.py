"""Server-sent events as a browser reads them, and a stream on loopback to read them from."""

import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from aiohttp import web

from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.web import documents
from agent.fleet.web.snapshots import Snapshots
from agent.fleet.web.stream import LIMITS, Limits, Stream
from tests.support.fakes.clock import FakeClock
from tests.support.times import START

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True)
class Event:
    name: str
    data: Any
    id: str  # the last one that was sent, as `lastEventId` of a browser


class Reader:
    """Reads events from a response. `last_id` is what a browser would send when it connects again."""

    def __init__(self, response: aiohttp.ClientResponse, last_id: str = "") -> None:
        self.response = response
        self.last_id = last_id
        self.retry: int | None = None
        self.comments: list[str] = []
        self._text = b""

    async def next(self) -> Event:
        """The next event. Raises EOFError where the stream ends."""
        while True:
            found = self._take()
            if found is not None:
                return found
            more = await self.response.content.readany()
            if not more:
                raise EOFError
            self._text += more

    async def take(self, count: int) -> list[Event]:
        return [await self.next() for _ in range(count)]

    async def until(self, name: str) -> Event:
        """The next event of this name; others are skipped."""
        while (found := await self.next()).name != name:
            pass
        return found

    def _take(self) -> Event | None:
        while b"\n\n" in self._text:
            block, self._text = self._text.split(b"\n\n", 1)
            found = self._parse(block)
            if found is not None:
                return found
        return None

    def _parse(self, block: bytes) -> Event | None:
        name, data = "message", []
        for line in _LINE_END.split(block):
            key, _, value = line.decode().partition(":")
            value = value.removeprefix(" ")
            if key == "":
                self.comments.append(value)
            elif key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "id":
                self.last_id = value
            elif key == "retry":
                self.retry = int(value)
        return Event(name, json.loads("\n".join(data)), self.last_id) if data else None


@dataclass
class FakeHistory:
    """Decisions by row, and how often they were read."""

    decisions: dict[int, documents.Decision] = field(default_factory=dict)
    reads: int = 0
    fails: bool = False

    async def after(self, row: int, limit: int) -> list[documents.Decision]:
        self.reads += 1
        if self.fails:
            raise HistoryUnavailable("the database is away")
        return [self.decisions[found] for found in sorted(self.decisions) if found > row][:limit]

    def add(self, *rows: int, **fields: Any) -> None:
        self.decisions |= {row: make_decision(row, **fields) for row in rows}


def make_decision(row: int, **fields: Any) -> documents.Decision:
    defaults: dict[str, Any] = {
        "id": row, "host": "gpu-07", "decision_id": f"d{row}", "at": START, "image_id": "sha256:" + "1" * 64,
        "references": ["teamai/a:1"], "reason": "idle-ttl", "mode": "enforce", "held_by": None,
        "explanation": "idle 15 d, TTL 14 d", "estimated_bytes": 4_800_000_000, "outcome": None, "outcome_at": None,
        "measured_bytes": None, "error": None, "also_removed": [], "last_used": None, "last_used_by": "",
        "idle_seconds": None, "ttl_seconds": None, "evidence": [], "pull": None, "regret_at": None,
    }  # fmt: skip
    return documents.Decision.model_validate(defaults | fields)


@dataclass
class Server:
    """A stream on loopback. Its clock stands still: a test closes each tick by `stream.step()`."""

    live: LiveFleet
    history: FakeHistory = field(default_factory=FakeHistory)
    limits: Limits = LIMITS
    broker: Literal["connected", "connecting", "unreachable"] = "connected"
    behind: int = 0
    error: str = ""  # what does not work
    send_buffer: int = 0  # bytes that the system keeps for a connection; 0: as many as it likes

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.snapshots = Snapshots(self.live, self.clock)
        self.stream = Stream(
            self.live, self.snapshots, self.history.after, self._health, self.clock, "0.9.1", self.limits
        )
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        app = web.Application()
        self.stream.attach(app)
        runner = web.AppRunner(app, shutdown_timeout=5)
        await runner.setup()
        listening = socket.create_server(("127.0.0.1", 0))
        if self.send_buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer)  # of each connection to it
        await web.SockSite(runner, listening).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/stream"
        try:
            yield self
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def viewer(self, since: str | None = None, last_id: str | None = None) -> AsyncIterator[Reader]:
        """A viewer that has read the greeting."""
        headers = {"Last-Event-ID": last_id} if last_id is not None else {}
        params = {"since": since} if since is not None else {}
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(self.url, headers=headers, params=params) as response,
        ):
            response.raise_for_status()
            reader = Reader(response, last_id or "")
            assert (await reader.next()).name == "hello"
            yield reader

    def _health(self) -> documents.Health:
        return documents.Health(
            broker=self.broker, behind_events=self.behind, last_commit=None, error=self.error or None
        )
