"""A monitor in memory for the tests of the page: its files, its API and its stream, as a test wants them.

It runs in a thread of its own, because a browser is driven by calls that block.
"""

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from aiohttp import web

from agent.core.protocol import payloads
from agent.fleet.live.row import HostRow
from agent.fleet.web import documents
from tests.support.page import answers, api
from tests.support.page.fleet import Fleet, now
from tests.support.proc import ROOT, require

PAGE = ROOT / "agent/fleet/page"
T = TypeVar("T")
RETRY = 300  # ms until a browser connects again; the real monitor says 1 to 5 seconds


class FakeMonitor:
    """Serves the page over `fleet`. Methods may be called from any thread."""

    def __init__(self, fleet: Fleet, version: str = "0.1.0") -> None:
        self.fleet = fleet
        self.version = version
        self.announced = version  # what the stream says; another one is an upgrade
        self.port = 0
        self.boot = "b1"
        self.tick = 1
        self.status = documents.Monitor(
            broker="connected",
            broker_url="mqtt://broker:1883",
            prefix="torchkeeper",
            collector="main",
            behind_events=0,
            last_commit=now(),
        )
        self.frames: list[str] = []  # since the start
        self.asked: list[str] = []  # paths of requests
        self.viewers = 0
        self._streams: set[asyncio.Transport] = set()
        self._news = asyncio.Event()  # of the next frame
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake monitor", daemon=True)
        self._runner: web.AppRunner | None = None
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def position(self) -> str:
        return f"{self.boot}.{self.tick}.{self.fleet.decisions[-1].id if self.fleet.decisions else 0}"

    # --- what a test does ---

    def start(self) -> None:
        """Listen, on the same port as before after a stop."""
        self._run(self._start())

    def stop(self) -> None:
        """End as a killed process does: connections break, and the next life has another boot ID."""
        self._run(self._stop())

    def close(self) -> None:
        self.stop()
        self._run(_end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def put(self, *rows: HostRow) -> None:
        """Hosts are new, or changed."""
        self.fleet.hosts.update({row.host: row for row in rows})
        self._publish("hosts", [answers.values(row) for row in rows])

    def forget(self, host: str) -> None:
        del self.fleet.hosts[host]
        self._publish("gone", [host])

    def decide(self, decision: documents.Decision) -> None:
        others = [each for each in self.fleet.decisions if each.id != decision.id]
        self.fleet.decisions = [*others, decision]
        self._publish("decisions", [_plain(decision)])

    def alert(self, alert: documents.Alert) -> None:
        """An alert begins, or with `until` ends."""
        same = [each for each in self.fleet.alerts if (each.host, each.id) != (alert.host, alert.id)]
        self.fleet.alerts = [*same, alert]
        ended = {"host": alert.host, "id": alert.id, "until": _plain(alert)["until"]}
        self._publish("alerts", [ended if alert.until else _plain(alert)])

    def set_broker(self, state: str, since: str | None = None, detail: str = "") -> None:
        self.status = self.status.model_copy(update={"broker": state})
        self._publish("monitor", {"broker": state, "since": since, "detail": detail})

    def cut(self) -> None:
        """Break the streams; the monitor goes on."""
        self._run(self._cut())

    # --- the server ---

    async def _cut(self) -> None:
        for transport in tuple(self._streams):
            transport.abort()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _publish(self, name: str, data: Any) -> None:
        self.tick += 1
        self.frames.append(f"id: {self.position}\nevent: {name}\ndata: {json.dumps(data)}\n\n")
        self._run(self._wake())

    async def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._note])
        app.router.add_get("/", self._index)
        app.router.add_get("/api/stream", self._stream)
        app.router.add_get("/api/{path:.+}", self._api)
        app.router.add_static(f"/static/{self.version}", PAGE)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None
        self.boot, self.tick, self.frames = f"{self.boot}x", 1, []

    @web.middleware
    async def _note(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        response: web.StreamResponse = await handler(request)
        return response

    async def _index(self, _request: web.Request) -> web.Response:
        text = (PAGE / "index.html").read_text().replace("__VERSION__", self.version)
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _policy(text)})

    async def _api(self, request: web.Request) -> web.Response:
        document = api.answer(self.fleet, self.status, self.position, request.match_info["path"], dict(request.query))
        if document is None:
            problem = documents.Problem(title="Not Found", status=404, detail=f"There is nothing at {request.path}.")
            return web.Response(text=problem.model_dump_json(), status=404, content_type="application/problem+json")
        response = web.Response(text=document.model_dump_json(by_alias=True), content_type="application/json")
        response.enable_compression()
        return response

    async def _next_frame(self, sent: int) -> None:
        """Until there are more frames than these; at most a second, as a viewer may have left."""
        news = self._news
        if len(self.frames) == sent:
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), 1.0)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """From the position that the viewer names on; another boot is a reset."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        boot, tick, _ = (request.headers.get("Last-Event-ID") or request.query["since"]).split(".")
        hello = {"version": self.announced, "boot": self.boot, "interval_ms": 250, "broker": self.status.broker}
        await response.write(f"retry: {RETRY}\nevent: hello\ndata: {json.dumps(hello)}\n\n".encode())
        if boot != self.boot:
            await response.write(b"event: reset\ndata: {}\n\n")
        sent = int(tick) - 1 if boot == self.boot else self.tick - 1
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        self._streams.add(transport)
        self.viewers += 1
        try:
            with suppress(ConnectionError):
                while True:
                    frames, sent = self.frames[sent:], len(self.frames)
                    await response.write("".join(frames).encode() or b": ping\n\n")
                    await self._next_frame(sent)
        finally:
            self._streams.discard(transport)
            self.viewers -= 1
        return response


async def _end_tasks() -> None:
    """Those of connections that browsers left open."""
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _plain(document: documents.Document | payloads.Payload) -> Any:
    return json.loads(document.model_dump_json(by_alias=True))


def _policy(index: str) -> str:
    """The policy of the real monitor: nothing inline but the import map."""
    found = re.search(r'<script type="importmap">(.*?)</script>', index, re.DOTALL)
    assert found
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


@contextmanager
def running(fleet: Fleet, **options: Any) -> Iterator[FakeMonitor]:
    require((PAGE / "vendor/.lock").exists(), "the page's libraries are missing: make page")
    monitor = FakeMonitor(fleet, **options)
    monitor.start()
    try:
        yield monitor
    finally:
        monitor.close()
