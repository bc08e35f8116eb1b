"""`GET /api/stream`: the changes of the fleet as server-sent events, for as long as the viewer stays."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from agent.adapters.clock import Clock
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.position import Position
from agent.fleet.web import documents, events
from agent.fleet.web.decision_pages import DecisionsAfter
from agent.fleet.web.frames import Frames
from agent.fleet.web.snapshots import Snapshots
from agent.fleet.web.viewer import MonitorNews, Viewer

INTERVAL = 0.25  # seconds between two ticks
BUSY_INTERVAL = 1.0  # seconds, after a tick with more than BUSY_ROWS changed rows
BUSY_ROWS = 500
RETRY_AFTER = 30  # seconds, for a viewer that is one too many
# After a restart the viewers come back spread over some seconds.
_FIRST_RETRY, _LAST_RETRY = 1000, 5000  # milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many viewers there may be, and how long one may be silent."""

    viewers: int = 1000
    send_timeout: float = 10.0  # seconds in which a viewer takes nothing; then its connection is ended
    ping_every: float = 15.0  # seconds


LIMITS = Limits()


class Stream:
    """Ticks, and all viewers of them. A viewer has no queue: it is sent what it lacks when it can take it.

    `attach` adds the route to an application, in whose life the ticks run; whoever serves it has to `watch` them.
    """

    def __init__(
        self,
        live: LiveFleet,
        snapshots: Snapshots,
        decisions_after: DecisionsAfter,
        health: Callable[[], documents.Health],
        clock: Clock,
        version: str,
        limits: Limits = LIMITS,
    ) -> None:
        self.viewers = 0
        self._limits = limits
        self._live = live
        self._snapshots = snapshots
        self._frames = Frames(live, snapshots, decisions_after)
        self._health = health
        self._clock = clock
        self._version = version
        self._wake = asyncio.Event()  # of the next tick
        self._is_closed = False
        self._ticks: asyncio.Task[None] | None = None
        self._sent = live.position
        self._pinged_at = clock.monotonic()
        self._monitor = MonitorNews(health(), clock)

    def attach(self, app: web.Application) -> None:
        app[STREAM] = self
        app.router.add_get("/api/stream", self.handle, allow_head=False)
        app.cleanup_ctx.append(self._ticking)
        app.on_shutdown.append(self._close)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer until the viewer leaves, or the application ends."""
        if self.viewers >= self._limits.viewers:
            raise web.HTTPServiceUnavailable(
                headers={"Retry-After": str(RETRY_AFTER)}, text=f"{self.viewers} viewers are connected already"
            )
        self.viewers += 1
        try:
            return await self._answer(request)
        finally:
            self.viewers -= 1

    async def run(self) -> None:
        """Close a tick every INTERVAL, for ever."""
        while True:
            await self._clock.sleep(self.step())

    def step(self) -> float:
        """Close a tick and wake the viewers if anything changed. Returns the seconds until the next one."""
        before = self._sent
        self._live.tick(self._clock.now())
        self._sent = self._live.position
        is_news = self._monitor.look(self._health())
        if self._sent != before or is_news or self._clock.monotonic() - self._pinged_at >= self._limits.ping_every:
            self._pinged_at = self._clock.monotonic()
            self._frames.renew()
            self._wake_all()
        changes = self._live.changes(before.tick)
        return BUSY_INTERVAL if changes and len(changes.rows) > BUSY_ROWS else INTERVAL

    async def watch(self) -> None:
        """Wait for as long as the ticks run. Raises what ended them: viewers would get nothing new."""
        if self._ticks is not None:
            await asyncio.shield(self._ticks)

    async def _ticking(self, _app: web.Application) -> AsyncIterator[None]:
        self._ticks = asyncio.create_task(self.run(), name="ticks")
        yield
        self._ticks.cancel()
        await asyncio.wait([self._ticks])

    async def _close(self, _app: web.Application) -> None:
        self._is_closed = True
        self._wake_all()

    def _wake_all(self) -> None:
        self._wake.set()
        self._wake = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        timeout = self._limits.send_timeout
        response = EventSourceResponse(sep="\n", send_timeout=timeout, ping_interval=self._limits.ping_every)
        response.headers["Cache-Control"] = "no-store"
        await response.prepare(request)
        async with response:
            with contextlib.suppress(ConnectionError):
                viewer = Viewer(request, response, timeout)
                await self._follow(viewer, await self._begin(request, viewer))
        return response

    async def _begin(self, request: web.Request, viewer: Viewer) -> Position:
        """Greet the viewer, and find out what it has; one that has nothing gets a snapshot."""
        wait = _FIRST_RETRY + secrets.randbelow(_LAST_RETRY - _FIRST_RETRY + 1)
        hello = {
            "version": self._version,
            "boot": self._live.position.boot,
            "interval_ms": int(INTERVAL * 1000),
            "broker": self._monitor.broker,
        }
        await viewer.write(b"retry: %d\n\n" % wait + events.event("hello", events.as_json(hello)))
        since = request.headers.get("Last-Event-ID") or request.query.get("since")
        if since is not None:  # what is no position is one of another run
            return Position.parse(since) or Position("", 0, self._live.position.decision)
        snapshot = await self._snapshots.current()
        await viewer.write(events.with_id([events.event("snapshot", snapshot.json)], snapshot.position))
        return snapshot.position

    async def _follow(self, viewer: Viewer, position: Position) -> None:
        told = self._monitor.number if self._monitor.is_well else -1  # all else needs more words than the greeting has
        while not self._is_closed and viewer.is_connected():
            wake = self._wake
            if told != self._monitor.number:
                told = self._monitor.number
                await viewer.write(self._monitor.event)
            frame = await self._frames.after(position) if position != self._live.position else None
            if frame is None or frame.position == position:
                await wake.wait()
                continue
            await viewer.write(frame.body)
            position = frame.position


STREAM = web.AppKey("stream", Stream)
