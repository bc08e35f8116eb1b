"""Answers the request of a route: checks its parameters, finds its document, encodes it."""

from dataclasses import replace
from typing import Any

import structlog
from aiohttp import web

from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.web import columns, parameters, sheets
from agent.fleet.web.documents import Document
from agent.fleet.web.guard import VISITOR
from agent.fleet.web.routing import Asked, Route
from agent.fleet.web.services import SERVICES
from agent.fleet.web.shared import SHARED
from agent.fleet.web.snapshots import Snapshots

log = structlog.get_logger()

SNAPSHOTS = web.AppKey("snapshots", Snapshots)

PAYS = 1400  # bytes; a shorter answer fits into one packet without compression
IN_A_THREAD = 64 * 1024  # bytes from which compressing takes longer than handing over to a thread


async def answer(route: Route, request: web.Request) -> web.StreamResponse:
    """Raises Refusal and HistoryUnavailable."""
    services = request.app[SERVICES]
    query = parameters.read(route.query, request)
    asked = Asked(
        services=services,
        query=query,
        path=request.match_info,
        now=services.clock.now(),
        visitor=request[VISITOR],
    )
    if getattr(query, "format", "") == "columns":
        return await columns.answer(request, request.app[SNAPSHOTS])
    if route.rows and _wants_sheet(request, query):
        return await _sheet(route, request, asked)
    document = await _document(route, request, asked)
    body = document.model_dump_json(by_alias=True).encode()
    return compressed(request, web.Response(body=body, status=route.status(document), content_type="application/json"))


def compressed(request: web.Request, response: web.Response) -> web.Response:
    """The response, compressed if the client takes that and it pays."""
    response.headers["Vary"] = "Accept, Accept-Encoding"
    if (response.content_length or 0) >= PAYS and "gzip" in request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


async def _document(route: Route, request: web.Request, asked: Asked[Any]) -> Document:
    if not route.fresh:
        return await route.document(asked)
    key = f"{request.path}?{asked.query.model_dump_json()}"
    return await request.app[SHARED].get(key, route.fresh, lambda: route.document(asked))


def _wants_sheet(request: web.Request, query: parameters.Query) -> bool:
    if "format" in query.model_fields_set:
        return getattr(query, "format", "") == "csv"
    return sheets.CONTENT_TYPE in request.headers.get("Accept", "")


async def _sheet(route: Route, request: web.Request, asked: Asked[Any]) -> web.StreamResponse:
    """The table as CSV, written page by page: a large one never lies in memory as a whole."""
    first, left = await _sheet_page(route, asked, parameters.LARGEST_SHEET)
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{route.rows}.csv"'})
    response.content_type, response.charset = sheets.CONTENT_TYPE, "utf-8"
    response.headers["Vary"] = "Accept, Accept-Encoding"
    await response.prepare(request)
    await response.write(sheets.head(sheets.row_model(route.answer, route.rows)).encode())
    document: Document | None = first
    while document is not None:
        await response.write(sheets.lines(getattr(document, route.rows)).encode())
        following = getattr(document, "next", None) if left > 0 else None
        asked = replace(asked, query=asked.query.model_copy(update={"after": following, "limit": left}))
        try:
            document, left = await _sheet_page(route, asked, left) if following else (None, 0)
        except HistoryUnavailable as error:
            _cut_off(request, error)
            return response
    await response.write_eof()
    return response


def _cut_off(request: web.Request, error: Exception) -> None:
    """End the connection: the status is sent already, and a table that ends early must not look like a whole one."""
    log.warning("a table was cut off", action="request", path=request.path, error=str(error))
    if request.transport is not None:
        request.transport.abort()


async def _sheet_page(route: Route, asked: Asked[Any], most: int) -> tuple[Document, int]:
    """One page of a table, and how many rows may follow it. `most`: rows, if the request does not limit them."""
    query = asked.query
    if not isinstance(query, parameters.Page):
        return await route.document(asked), 0
    wanted = min(query.limit, most) if "limit" in query.model_fields_set else most
    size = min(wanted, parameters.LARGEST_PAGE)
    page = await route.document(replace(asked, query=query.model_copy(update={"limit": size})))
    return page, wanted - size
