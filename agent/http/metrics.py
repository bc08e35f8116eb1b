"""`GET /metrics`: OpenMetrics for whoever accepts it, else the text format of Prometheus. Made in a thread."""

import asyncio
from collections.abc import Callable, Iterator

from aiohttp import web
from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.http import metric_families
from agent.http.facts import Facts, Gatherer

Encode = Callable[[Collector], bytes]


class Metrics:
    """Answers scrapes, one after the other."""

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer
        self._lock = asyncio.Lock()

    async def handle(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        async with self._lock:
            page = await asyncio.to_thread(make, await self._gatherer.facts(), encode)
        return web.Response(body=page, headers={"Content-Type": content_type, "Vary": "Accept"})


def make(facts: Facts, encode: Encode) -> bytes:
    """One page."""
    return encode(_Families(facts))


class _Families(Collector):
    """The metrics of one scrape; those of the process itself stand beside them."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        yield from metric_families.of(self._facts)
        yield from ProcessCollector(registry=None).collect()
