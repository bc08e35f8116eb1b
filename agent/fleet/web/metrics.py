"""`GET /metrics`: made in a thread and kept for some seconds, so that no scrape holds up the loop."""

import asyncio
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.adapters.clock import Clock
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.web import documents, metric_families
from agent.fleet.web.metric_families import HOSTS_SHOWN, Facts

KEPT_FOR = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Page:
    text: bytes
    gzipped: bytes


class Metrics:
    """Answers scrapes. Those within KEPT_FOR get the same page."""

    def __init__(
        self,
        live: LiveFleet,
        viewers: Callable[[], int],
        health: Callable[[], documents.Health],
        clock: Clock,
        version: str,
        hosts_shown: int = HOSTS_SHOWN,
    ) -> None:
        self._live = live
        self._viewers = viewers
        self._health = health
        self._clock = clock
        self._version = version
        self._hosts_shown = hosts_shown
        self._page: Page | None = None
        self._made_at = 0.0
        self._lock = asyncio.Lock()

    def attach(self, app: web.Application) -> None:
        app.router.add_get("/metrics", self.handle)

    async def handle(self, request: web.Request) -> web.Response:
        page = await self.page()
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=page.gzipped, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=page.text, headers=headers)

    async def page(self) -> Page:
        """The page, at most KEPT_FOR old."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._page is None or now - self._made_at >= KEPT_FOR:
                self._page = await asyncio.to_thread(make, self._facts(), self._hosts_shown)
                self._made_at = now
            return self._page

    def _facts(self) -> Facts:
        return Facts(
            rows=self._live.rows(),
            alerts=self._live.alerts(),
            counters=self._live.counters.copy(),
            health=self._health(),
            viewers=self._viewers(),
            version=self._version,
        )


def make(facts: Facts, hosts_shown: int) -> Page:
    text = generate_latest(_Families(facts, hosts_shown))
    return Page(text, gzip.compress(text, 1, mtime=0))


class _Families(Collector):
    """The metrics of one scrape; those of the process itself stand beside them."""

    def __init__(self, facts: Facts, hosts_shown: int) -> None:
        self._facts = facts
        self._hosts_shown = hosts_shown

    def collect(self) -> Iterator[Metric]:
        yield from metric_families.of(self._facts, self._hosts_shown)
        yield from ProcessCollector(registry=None).collect()
