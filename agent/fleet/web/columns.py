"""Answers `/api/hosts?format=columns`: what the page starts from."""

from aiohttp import web

from agent.fleet.web.snapshots import Snapshots


async def answer(request: web.Request, snapshots: Snapshots) -> web.Response:
    """The snapshot; 304 to a client that has it already. Its ETag is its position in the stream.

    It is weak: the time of a host's last sign of life can differ between two answers with the same position.
    """
    snapshot = await snapshots.current()
    headers = {"ETag": f'W/"{snapshot.position}"', "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    known = request.if_none_match or ()
    if any(tag.value == str(snapshot.position) for tag in known):
        return web.Response(status=304, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return web.Response(body=snapshot.gzipped, content_type="application/json", headers=headers)
    return web.Response(body=snapshot.json, content_type="application/json", headers=headers)
