"""Applies the rules of access to each request, and logs people in by a form."""

import html
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from agent.core import text
from agent.fleet.web import access
from agent.fleet.web.access import Denied, Rules, Visit, Visitor
from agent.fleet.web.problems import Refusal
from agent.fleet.web.services import SERVICES
from agent.fleet.web.sessions import LASTS, Sessions, WrongTokens

log = structlog.get_logger()

COOKIE = "torchkeeper"
SECURE_COOKIE = "__Host-torchkeeper"  # a browser takes this name only over https, for this host and every path

VISITOR = web.RequestKey("visitor", Visitor)

_FORM_POLICY = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_FORM = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>torchkeeper: log in</title>
<form method="post" action="login"><h1>torchkeeper</h1><p role="alert">{message}</p>
<p><label for="token">Token</label> <input id="token" name="token" type="password" autocomplete="current-password"
required autofocus> <button>Log in</button></p></form></html>"""


class Guard:
    """`middleware` decides about each request; `login` and `logout` are handlers."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._sessions = Sessions()
        self._wrong = WrongTokens()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        visit = self._visit(request)
        if visit.header("Authorization") is not None:
            self._refuse_guessing(request)
        decision = access.decide(self.rules, visit)
        if isinstance(decision, Visitor):
            request[VISITOR] = decision
            return await handler(request)
        if decision.wrong_token:
            self._count_wrong(request)
        if decision.status is HTTPStatus.UNAUTHORIZED and self.rules.mode == "token" and request.path == "/":
            raise web.HTTPSeeOther("login")
        raise _refusal(decision)

    async def login_form(self, _request: web.Request) -> web.StreamResponse:
        self._only_with_tokens()
        return _form()

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Begin a session for whoever sends a token. Raises Refusal after too many wrong ones."""
        self._only_with_tokens()
        self._refuse_guessing(request)
        token = (await request.post()).get("token")
        role = access.token_role(self.rules, token.strip()) if isinstance(token, str) else None
        if role is None:
            self._count_wrong(request)
            return _form("This token is not known here.", HTTPStatus.UNAUTHORIZED)
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "./"})
        session = self._sessions.begin(Visitor(None, role), self._now(request))
        secure = self._secure(request)
        response.set_cookie(
            SECURE_COOKIE if secure else COOKIE,
            session,
            max_age=int(LASTS),
            path="/",
            secure=secure,
            httponly=True,
            samesite="Strict",
        )
        return response

    async def logout(self, request: web.Request) -> web.StreamResponse:
        self._only_with_tokens()
        self._sessions.end(_cookie(request))
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "login"})
        for name, secure in ((COOKIE, False), (SECURE_COOKIE, True)):
            response.del_cookie(name, path="/", secure=secure, httponly=True, samesite="Strict")
        return response

    def _visit(self, request: web.Request) -> Visit:
        return Visit(
            method=request.method,
            path=request.path,
            peer=request.remote or "",
            headers=request.headers,
            session=self._sessions.visitor(_cookie(request), self._now(request)),
        )

    def _now(self, request: web.Request) -> float:
        return request.app[SERVICES].clock.monotonic()

    def _refuse_guessing(self, request: web.Request) -> None:
        """Raise Refusal after too many wrong tokens of this peer."""
        wait = self._wrong.wait(request.remote or "", self._now(request))
        if wait > 0:
            detail = f"too many wrong tokens came from {request.remote}; try again in {wait:.0f} s"
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, detail, Retry_After=str(int(wait) + 1))

    def _count_wrong(self, request: web.Request) -> None:
        self._wrong.add(request.remote or "", self._now(request))
        log.warning("a wrong token", action="login", peer=request.remote, path=text.one_line(request.path))

    def _only_with_tokens(self) -> None:
        if self.rules.mode != "token":
            raise web.HTTPNotFound

    def _secure(self, request: web.Request) -> bool:
        """Whether the browser speaks https: a proxy before the monitor does, at the public address."""
        return self.rules.public is not None and self.rules.public == ("https", request.headers.get("Host"))


def _cookie(request: web.Request) -> str | None:
    return request.cookies.get(SECURE_COOKIE) or request.cookies.get(COOKIE)


def _refusal(denied: Denied) -> Refusal:
    if denied.status is HTTPStatus.UNAUTHORIZED:
        return Refusal(denied.status, denied.detail, WWW_Authenticate='Bearer realm="torchkeeper"')
    return Refusal(denied.status, denied.detail)


def _form(message: str = "", status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    body = _FORM.format(message=html.escape(message))
    return web.Response(
        text=body, status=status, content_type="text/html", headers={"Content-Security-Policy": _FORM_POLICY}
    )
