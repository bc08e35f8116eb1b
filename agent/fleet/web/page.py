"""Serves the page: `/` is asked for each time, its files have addresses that never change their content."""

from http import HTTPStatus

from aiohttp import web

from agent.fleet.web import problems
from agent.fleet.web.page_files import File, Page

PAGE = web.AppKey("page", Page)

_FOR_EVER = "public, max-age=31536000, immutable"


async def index(request: web.Request) -> web.StreamResponse:
    page = request.app[PAGE]
    headers = {"Cache-Control": "no-cache", "ETag": page.etag, "Content-Security-Policy": page.policy}
    known = {tag.value for tag in request.if_none_match or ()}  # weak ones, too: a proxy that compresses makes them so
    if page.etag.strip('"') in known:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return _response(request, page.index, headers)


async def static(request: web.Request) -> web.StreamResponse:
    """One file. Raises Refusal for another name, and for the address of another version."""
    page, name = request.app[PAGE], request.match_info["name"]
    file = page.files.get(name) if request.match_info["version"] == page.version else None
    if file is None:
        raise problems.not_found("file", request.path)
    return _response(request, file, {"Cache-Control": _FOR_EVER})


def _response(request: web.Request, file: File, headers: dict[str, str]) -> web.Response:
    """An ETag is the same for both encodings, so Vary tells them apart."""
    headers["Vary"] = "Accept-Encoding"
    small = "gzip" in request.headers.get("Accept-Encoding", "") and len(file.gzipped) < len(file.body)
    if small:
        headers["Content-Encoding"] = "gzip"
    body = file.gzipped if small else file.body
    charset = "utf-8" if file.content_type.startswith("text/") else None
    return web.Response(body=body, headers=headers, content_type=file.content_type, charset=charset)
