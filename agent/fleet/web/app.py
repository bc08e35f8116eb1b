"""The web application: the API, the page, and the rules who may read them."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from agent.fleet.history.queries import decisions
from agent.fleet.history.reading import read
from agent.fleet.web import access_rules, answers, documents, openapi, page_files, problems, routes
from agent.fleet.web import page as page_handlers
from agent.fleet.web.answers import SNAPSHOTS
from agent.fleet.web.guard import Guard
from agent.fleet.web.metrics import Metrics
from agent.fleet.web.page import PAGE
from agent.fleet.web.routing import Route
from agent.fleet.web.services import SERVICES, Services
from agent.fleet.web.shared import SHARED, SharedDocuments
from agent.fleet.web.snapshots import Snapshots
from agent.fleet.web.stream import Stream

LARGEST_BODY = 64 * 1024  # bytes; the only body that is taken is a login form

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["Services", "make_app"]


def make_app(services: Services, page: Path) -> web.Application:
    """`page`: the folder of the page's files. Raises ConfigError if the settings would show the fleet to everybody."""
    guard = Guard(access_rules.load(services.settings))
    app = web.Application(middlewares=[problems.as_problems, guard.middleware], client_max_size=LARGEST_BODY)
    app[SERVICES] = services
    app[SHARED] = SharedDocuments(services.clock)
    app[PAGE] = page_files.load(page, services.version)
    app.on_response_prepare.append(_add_headers)
    _attach_live(app, services)
    for route in routes.ALL:
        app.router.add_get(route.path, _handler(route))
    app.router.add_get("/api/openapi.json", _described(openapi.document(routes.ALL, services.version)))
    app.router.add_get("/", page_handlers.index)
    app.router.add_get("/static/{version}/{name:.+}", page_handlers.static)
    app.router.add_get("/login", guard.login_form)
    app.router.add_post("/login", guard.login)
    app.router.add_post("/logout", guard.logout)
    return app


def _attach_live(app: web.Application, services: Services) -> None:
    """The stream and the metrics, which are made from the live fleet and not from documents."""
    live, clock, version = services.live, services.clock, services.version
    app[SNAPSHOTS] = Snapshots(live, clock)

    async def decisions_after(last: int, limit: int) -> list[documents.Decision]:
        return await read(services.database, lambda connection: decisions.arrived_after(connection, last, limit))

    stream = Stream(live, app[SNAPSHOTS], decisions_after, services.health, clock, version)
    stream.attach(app)
    Metrics(live, lambda: stream.viewers, services.health, clock, version).attach(app)


def _handler(route: Route) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await answers.answer(route, request)

    return handler


def _described(document: dict[str, object]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return answers.compressed(request, web.json_response(document))

    return handler


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "torchkeeper"  # without the versions of Python and aiohttp
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    response.headers.setdefault("Cache-Control", "no-store")
