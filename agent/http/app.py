"""The web application: GET and HEAD only, and nothing that changes anything."""

from aiohttp import web
from aiohttp.web import Application

from agent.http import health
from agent.http.facts import Gatherer
from agent.http.metrics import Metrics
from agent.pulse import Pulse

__all__ = ["Application", "make_app"]

_HEADERS = {"Server": "torchkeeper", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def make_app(gatherer: Gatherer, pulse: Pulse) -> Application:
    """`/healthz/live`, `/healthz/ready` and `/metrics` of one agent."""
    metrics = Metrics(gatherer)

    async def live(_request: web.Request) -> web.Response:
        hanging = pulse.over_limit()
        return _answer({"live": not hanging, "hanging": sorted(hanging.values())}, ok=not hanging)

    async def ready(_request: web.Request) -> web.Response:
        checks = health.checks(await gatherer.condition())
        ok = all(check.ok for check in checks.values())
        shown = {name: {"ok": check.ok, "detail": check.detail} for name, check in checks.items()}
        return _answer({"ready": ok, "checks": shown}, ok=ok)

    app = web.Application()
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/healthz/live", live)
    app.router.add_get("/healthz/ready", ready)
    app.router.add_get("/metrics", metrics.handle)
    return app


def _answer(document: dict[str, object], *, ok: bool) -> web.Response:
    return web.json_response(document, status=200 if ok else 503)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
