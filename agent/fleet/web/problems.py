"""Errors as RFC 9457 describes them: application/problem+json, one sentence for people, never a traceback."""

from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from agent.core import text
from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.web import documents

log = structlog.get_logger()

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = "5"  # seconds, while the database does not answer


class Refusal(Exception):
    """A request that gets no answer. `detail` says what is wrong and what to do."""

    def __init__(self, status: HTTPStatus, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> web.Response:
        return _response(self.status, self.detail, self.headers)


def bad_value(name: str, why: str) -> Refusal:
    """400: a parameter has a value that it cannot have."""
    return Refusal(HTTPStatus.BAD_REQUEST, f"{name}: {why}")


def not_found(kind: str, name: str) -> Refusal:
    """404: there is nothing of this name."""
    return Refusal(HTTPStatus.NOT_FOUND, f"there is no {kind} {text.quoted(name)}")


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error of a route with a problem document."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.response()
    except HistoryUnavailable as error:
        log.warning("the history cannot be read", action="history", error=str(error))
        detail = "the monitor's database does not answer; its log says why"
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": RETRY_AFTER})
    except web.HTTPException as error:
        return _of_aiohttp(request, error)
    except ConnectionError:  # the client is gone: nothing is wrong, and nobody reads an answer
        raise
    except Exception:
        log.exception("a request failed", action="request", path=request.path)
        return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "this is an error of the monitor; its log has more", {})


def _of_aiohttp(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < HTTPStatus.BAD_REQUEST:
        raise error
    status = HTTPStatus(error.status)
    headers = {name: error.headers[name] for name in ("Retry-After",) if name in error.headers}
    detail = error.text or ""
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        detail = f"{text.quoted(request.path)} does not take {text.quoted(request.method)}; it takes {headers['Allow']}"
    elif status is HTTPStatus.NOT_FOUND:
        detail = f"there is no {text.quoted(request.path)}; /api/openapi.json lists what there is"
    elif status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        detail = "the body is too long"
    elif detail == f"{error.status}: {error.reason}":  # what aiohttp writes by itself
        detail = status.description or status.phrase
    return _response(status, detail, headers)


def _response(status: HTTPStatus, detail: str, headers: dict[str, str]) -> web.Response:
    problem = documents.Problem(title=status.phrase, status=status, detail=text.writable(detail))
    body = problem.model_dump_json().encode()
    return web.Response(body=body, status=status, headers=headers, content_type=CONTENT_TYPE)
