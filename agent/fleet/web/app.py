"""The web application: the API, the page, and the rules who may read them."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from agent.fleet.web import answers, problems, routes
from agent.fleet.web.routing import Route
from agent.fleet.web.services import SERVICES, Services

LARGEST_BODY = 64 * 1024  # bytes; the only body that is taken is a login form

__all__ = ["Services", "make_app"]


def make_app(services: Services, page: Path) -> web.Application:
    """`page`: the folder of the page's files."""
    app = web.Application(middlewares=[problems.as_problems], client_max_size=LARGEST_BODY)
    app[SERVICES] = services
    for route in routes.ALL:
        app.router.add_get(route.path, _handler(route))
    app.on_response_prepare.append(_add_headers)
    return app


def _handler(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await answers.answer(route, request)

    return handler


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    response.headers.setdefault("Cache-Control", "no-store")
