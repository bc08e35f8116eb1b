"""Answers a request of a route: checks its parameters, encodes its document."""

from aiohttp import web

from agent.fleet.web import parameters
from agent.fleet.web.documents import Document
from agent.fleet.web.routing import Asked, Route
from agent.fleet.web.services import SERVICES

PAYS = 1400  # bytes; a shorter answer fits into one packet without compression
IN_A_THREAD = 64 * 1024  # bytes from which compressing takes longer than handing over to a thread


async def answer(route: Route, request: web.Request) -> web.StreamResponse:
    """Raises Refusal and HistoryUnavailable."""
    services = request.app[SERVICES]
    query = parameters.read(route.query, request)
    asked = Asked(services=services, query=query, path=request.match_info, now=services.clock.now())
    document = await route.document(asked)
    response = _json(document)
    response.set_status(route.status(document))
    return compressed(request, response)


def _json(document: Document) -> web.Response:
    body = document.model_dump_json(by_alias=True).encode()
    return web.Response(body=body, content_type="application/json", zlib_executor_size=IN_A_THREAD)


def compressed(request: web.Request, response: web.Response) -> web.Response:
    """The response, compressed if the client takes that and it pays."""
    response.headers["Vary"] = "Accept, Accept-Encoding"
    if (response.content_length or 0) >= PAYS and "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response
