"""Who may do what: one decision for each request, from its headers and its peer. Pure."""

import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal, Protocol
from urllib.parse import urlsplit

from agent.core import text

Role = Literal["viewer", "operator"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SAFE = frozenset({"GET", "HEAD"})  # methods that change nothing
FORMS = frozenset({"/login", "/logout"})  # the only addresses that take a form
_OPEN = frozenset({"/healthz", *FORMS})  # to whom the monitor knows nothing of; nothing of the fleet is there
_STATIC = "/static/"
_METRICS = "/metrics"
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")  # a proxy passed the request on
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_LONGEST_USER = 100  # characters


class Headers(Protocol):
    def getall(self, key: str, default: Sequence[str]) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`tokens`: the role of each token. `listen`: the address without its port. `public`: scheme and host, if set."""

    mode: Literal["open", "token", "proxy"] = "open"
    listen: str = "127.0.0.1"
    public: tuple[str, str] | None = None
    actions: bool = False
    tokens: dict[bytes, Role] = field(default_factory=dict)
    user_header: str = "Remote-User"
    groups_header: str = "Remote-Groups"
    operators: frozenset[str] = frozenset()
    proxies: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. `user` is None where nobody said."""

    user: str | None
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What counts of one request. `peer`: the address of the connection. `session`: whom its cookie stands for."""

    method: str
    path: str
    peer: str
    headers: Headers
    session: Visitor | None = None

    def header(self, name: str) -> str | None:
        """The header; None if it is missing. One that is there twice is a forgery, and counts as ""."""
        values = self.headers.getall(name, ())
        return None if not values else values[0].strip() if len(values) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """`wrong_token`: somebody may be guessing."""

    status: HTTPStatus
    detail: str
    wrong_token: bool = False


def decide(rules: Rules, visit: Visit) -> Visitor | Denied:
    """The visitor whose request is served, or why it is not."""
    host = visit.header("Host") or ""
    if not _known_host(rules, host):
        detail = f"{text.quoted(host)} is not a name of this monitor; if it should be, set monitor.public_url"
        return Denied(status=HTTPStatus.MISDIRECTED_REQUEST, detail=detail)
    if visit.method not in SAFE and (forged := _forged(rules, visit)):
        return Denied(status=HTTPStatus.FORBIDDEN, detail=forged)
    if visit.path in _OPEN or visit.path.startswith(_STATIC) or (visit.path == _METRICS and _local(visit)):
        return Visitor(None, "viewer")
    visitor = _authenticate(rules, visit)
    if isinstance(visitor, Visitor) and visit.method not in SAFE and not (rules.actions and visitor.role == "operator"):
        why = "only operators may change anything" if rules.actions else "actions are off"
        return Denied(status=HTTPStatus.FORBIDDEN, detail=f"{why}; this monitor only shows")
    return visitor


def is_loopback(host: str) -> bool:
    """Whether an address or a name can only be this machine."""
    address = _address(host)
    return host.lower().rstrip(".") == "localhost" if address is None else address.is_loopback


def token_role(rules: Rules, token: str) -> Role | None:
    """The role of a token. The time that it takes says nothing about the tokens."""
    given = token.encode(errors="surrogateescape")
    found = [role for known, role in rules.tokens.items() if hmac.compare_digest(known, given)]
    return found[0] if found else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _known_host(rules: Rules, header: str) -> bool:
    """A name that an attacker lets point here (DNS rebinding) is none of these. An address is never such a name."""
    match = _HOST.fullmatch(header)
    if match is None:
        return False
    host = match[1].lower().rstrip(".")
    listening = _address(rules.listen)
    if listening is not None and listening.is_unspecified and _address(host) is not None:
        return True
    known = {rules.listen.lower().strip("[]"), *([urlsplit(f"//{rules.public[1]}").hostname] if rules.public else [])}
    return is_loopback(host) or host.strip("[]") in known


def _forged(rules: Rules, visit: Visit) -> str:
    """Why a request that changes something may come from a page of somebody else; "" if it does not."""
    site, origin = visit.header("Sec-Fetch-Site"), visit.header("Origin")
    kind = (visit.header("Content-Type") or "").partition(";")[0].strip().lower()
    if kind != "application/json" and visit.path not in FORMS:
        return "the Content-Type must be application/json"
    if site is not None:
        return "" if site == "same-origin" else "the request comes from another site"
    if origin is None:  # a program, not a browser: its token is not sent by itself, as a cookie is
        return "" if visit.header("Authorization") else "the header Origin is missing"
    own = {visit.header("Host"), *([rules.public[1]] if rules.public else [])}
    return "" if urlsplit(origin).netloc in own else "the request comes from another origin"


def _local(visit: Visit) -> bool:
    """Whether a program of this machine asks, and no proxy for somebody else."""
    match = _HOST.fullmatch(visit.header("Host") or "")
    forwarded = any(visit.header(name) is not None for name in _FORWARDED)
    return is_loopback(visit.peer) and match is not None and is_loopback(match[1]) and not forwarded


def _authenticate(rules: Rules, visit: Visit) -> Visitor | Denied:
    if rules.mode == "open":
        return Visitor(None, "viewer")
    if rules.mode == "proxy" and (visitor := _of_proxy(rules, visit)) is not None:
        return visitor
    if visit.header("Authorization") is not None and rules.tokens:
        return _by_token(rules, visit.header("Authorization") or "")
    if rules.mode == "token" and visit.session is not None:
        return visit.session
    how = "log in, or send a token" if rules.mode == "token" else "the proxy in front of this monitor names no user"
    return Denied(status=HTTPStatus.UNAUTHORIZED, detail=how)


def _by_token(rules: Rules, header: str) -> Visitor | Denied:
    scheme, _, token = header.partition(" ")
    role = token_role(rules, token.strip()) if scheme.lower() == "bearer" else None
    if role is None:
        return Denied(status=HTTPStatus.UNAUTHORIZED, detail="this token is not known here", wrong_token=True)
    return Visitor(None, role)


def _of_proxy(rules: Rules, visit: Visit) -> Visitor | None:
    """Whom a trusted proxy names. Anybody else can write these headers, too, so those of others say nothing."""
    peer = _address(visit.peer)
    if peer is None or not any(peer in network for network in rules.proxies):
        return None
    user = text.one_line(visit.header(rules.user_header) or "")[:_LONGEST_USER]
    if not user:
        return None
    groups = {group.strip() for group in (visit.header(rules.groups_header) or "").split(",")} - {""}
    return Visitor(user, "operator" if groups & rules.operators else "viewer")
