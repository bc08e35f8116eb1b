"""Who may do what: the decision, cell by cell."""

import ipaddress
from collections.abc import Mapping
from typing import Any

import pytest
from multidict import CIMultiDict

from agent.fleet.web import access
from agent.fleet.web.access import Denied, Rules, Visit, Visitor

VIEW, ACT = b"viewer-token-0123456789", b"operator-token-0123456789"
PUBLIC = ("https", "fleet.example")
OPEN = Rules()
SHARED = Rules(listen="0.0.0.0")  # with allow_open
TOKEN = Rules(mode="token", listen="10.0.0.5", public=PUBLIC, tokens={VIEW: "viewer", ACT: "operator"})
ACTING = Rules(mode="token", listen="10.0.0.5", public=PUBLIC, tokens={VIEW: "viewer", ACT: "operator"}, actions=True)
PROXY = Rules(
    mode="proxy",
    listen="10.0.0.5",
    public=PUBLIC,
    operators=frozenset({"ops"}),
    proxies=(ipaddress.ip_network("10.0.0.1"), ipaddress.ip_network("::1")),
)

LOOPBACK = {"Host": "127.0.0.1:9478"}
FLEET = {"Host": "fleet.example"}
ANNA = {"Remote-User": "anna"}
VIEWER = {"Authorization": f"Bearer {VIEW.decode()}"}
OPERATOR = {"Authorization": f"Bearer {ACT.decode()}"}
JSON = {"Content-Type": "application/json"}
GROUPS = "Remote-Groups"
OPS, OPSX = {GROUPS: "dev, ops"}, {GROUPS: "dev,opsx"}
WRONG = {"Authorization": "Bearer no"}
ELSEWHERE = {"Sec-Fetch-Site": "cross-site"}
SAME = {"Sec-Fetch-Site": "same-origin"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOSTS, ENTRIES = "/api/hosts", "/api/entries"

Headers = Mapping[str, str]


def ask(
    rules: Rules,
    *headers: Headers,
    peer: str = "10.0.0.9",
    path: str = HOSTS,
    method: str = "GET",
    session: Visitor | None = None,
) -> int | Visitor:
    """The visitor, or the status of the refusal."""
    merged = CIMultiDict({name: value for each in headers for name, value in each.items()})
    decision = access.decide(rules, Visit(method=method, path=path, peer=peer, headers=merged, session=session))
    return int(decision.status) if isinstance(decision, Denied) else decision


ANYBODY = Visitor(None, "viewer")
OPERATING = Visitor(None, "operator")


@pytest.mark.parametrize(
    ("rules", "host", "known"),
    [
        (OPEN, "127.0.0.1:9478", True),
        (OPEN, "127.0.0.1", True),
        (OPEN, "localhost:9478", True),
        (OPEN, "LOCALHOST.", True),
        (OPEN, "[::1]:9478", True),
        (OPEN, "127.9.9.9:80", True),
        (OPEN, "attacker.example:9478", False),
        (OPEN, "localhost.attacker.example", False),
        (OPEN, "127.0.0.1.attacker.example", False),
        (OPEN, "10.0.0.5", False),
        (OPEN, "user@127.0.0.1", False),
        (OPEN, "127.0.0.1/x", False),
        (OPEN, "", False),
        (SHARED, "10.0.0.5:9478", True),
        (SHARED, "[fd00::1]:9478", True),
        (SHARED, "attacker.example", False),
        (TOKEN, "fleet.example", True),
        (TOKEN, "fleet.example:443", True),
        (TOKEN, "10.0.0.5:9478", True),
        (TOKEN, "10.0.0.6:9478", False),
        (TOKEN, "other.example", False),
    ],
)
def test_a_request_for_another_name_is_misdirected(rules: Rules, host: str, known: bool) -> None:
    answer = ask(rules, {"Host": host}, path="/healthz")
    assert answer == (ANYBODY if known else 421)


def test_a_request_with_two_names_or_none_is_misdirected() -> None:
    for headers in (CIMultiDict[str](), CIMultiDict([("Host", "127.0.0.1"), ("Host", "attacker.example")])):
        decision = access.decide(OPEN, Visit(method="GET", path=HOSTS, peer="127.0.0.1", headers=headers))
        assert isinstance(decision, Denied)
        assert decision.status == 421


CASES: list[tuple[str, Rules, list[Headers], dict[str, Any], int | Visitor]] = [
    ("open: everybody reads", OPEN, [LOOPBACK], {}, ANYBODY),
    ("open: nobody acts", OPEN, [LOOPBACK, JSON, SAME], {"method": "POST", "path": ENTRIES}, 403),
    ("open: the headers of a proxy say nothing", OPEN, [LOOPBACK, ANNA], {"peer": "127.0.0.1"}, ANYBODY),
    ("token: nothing", TOKEN, [FLEET], {}, 401),
    ("token: a viewer's", TOKEN, [FLEET, VIEWER], {}, ANYBODY),
    ("token: an operator's", TOKEN, [FLEET, OPERATOR], {}, OPERATING),
    ("token: a wrong one", TOKEN, [FLEET, WRONG], {}, 401),
    ("token: not a Bearer", TOKEN, [FLEET, {"Authorization": f"Basic {VIEW.decode()}"}], {}, 401),
    ("token: an empty one", TOKEN, [FLEET, {"Authorization": ""}], {}, 401),
    ("token: not ASCII", TOKEN, [FLEET, {"Authorization": "Bearer é\udc80"}], {}, 401),
    ("token: a session", TOKEN, [FLEET], {"session": ANYBODY}, ANYBODY),
    ("token: a wrong token beside a session", TOKEN, [FLEET, WRONG], {"session": ANYBODY}, 401),
    ("token: the headers of a proxy say nothing", TOKEN, [FLEET, ANNA], {"peer": "127.0.0.1"}, 401),
    ("token: health is open", TOKEN, [FLEET], {"path": "/healthz"}, ANYBODY),
    ("token: the form is open", TOKEN, [FLEET], {"path": "/login"}, ANYBODY),
    ("token: the page's files are open", TOKEN, [FLEET], {"path": "/static/1/js/main.js"}, ANYBODY),
    ("token: the page is not", TOKEN, [FLEET], {"path": "/"}, 401),
    ("token: the stream is not", TOKEN, [FLEET], {"path": "/api/stream"}, 401),
    ("token: nor is a path that looks like an open one", TOKEN, [FLEET], {"path": "/healthz/../api/hosts"}, 401),
    ("metrics: from elsewhere by token", TOKEN, [FLEET], {"path": "/metrics"}, 401),
    ("metrics: with the token", TOKEN, [FLEET, VIEWER], {"path": "/metrics"}, ANYBODY),
    ("metrics: from this machine", TOKEN, [LOOPBACK], {"path": "/metrics", "peer": "127.0.0.1"}, ANYBODY),
    ("metrics: IPv6", TOKEN, [{"Host": "[::1]:9478"}], {"path": "/metrics", "peer": "::1"}, ANYBODY),
    ("metrics: IPv4 in IPv6", TOKEN, [LOOPBACK], {"path": "/metrics", "peer": "::ffff:127.0.0.1"}, ANYBODY),
    ("metrics: from elsewhere under a name of this machine", TOKEN, [LOOPBACK], {"path": "/metrics"}, 401),
    ("metrics: a proxy's name", TOKEN, [FLEET], {"path": "/metrics", "peer": "127.0.0.1"}, 401),
    (
        "metrics: passed on by a proxy here",
        TOKEN,
        [LOOPBACK, {"X-Forwarded-For": "8.8.8.8"}],
        {"path": "/metrics", "peer": "127.0.0.1"},
        401,
    ),
    ("metrics: loopback says nothing of hosts", TOKEN, [LOOPBACK], {"peer": "127.0.0.1"}, 401),
    ("proxy: a user", PROXY, [FLEET, ANNA], {"peer": "10.0.0.1"}, Visitor("anna", "viewer")),
    ("proxy: IPv4 in IPv6", PROXY, [FLEET, ANNA], {"peer": "::ffff:10.0.0.1"}, Visitor("anna", "viewer")),
    ("proxy: no groups", PROXY, [FLEET, ANNA, {GROUPS: ""}], {"peer": "::1"}, Visitor("anna", "viewer")),
    ("proxy: another group", PROXY, [FLEET, ANNA, OPSX], {"peer": "::1"}, Visitor("anna", "viewer")),
    ("proxy: an operator", PROXY, [FLEET, ANNA, OPS], {"peer": "::1"}, Visitor("anna", "operator")),
    ("proxy: no user", PROXY, [FLEET], {"peer": "10.0.0.1"}, 401),
    ("proxy: an empty user", PROXY, [FLEET, {"Remote-User": " "}], {"peer": "10.0.0.1"}, 401),
    ("proxy: another peer", PROXY, [FLEET, ANNA], {"peer": "10.0.0.2"}, 401),
    ("proxy: this machine is not listed", PROXY, [FLEET, ANNA], {"peer": "127.0.0.1"}, 401),
    (
        "proxy: another peer that names the proxy",
        PROXY,
        [FLEET, ANNA, {"X-Forwarded-For": "10.0.0.1"}],
        {"peer": "10.0.0.2"},
        401,
    ),
    ("proxy: a token without token files", PROXY, [FLEET, VIEWER], {"peer": "10.0.0.2"}, 401),
    ("proxy: no peer", PROXY, [FLEET, ANNA], {"peer": ""}, 401),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "headers", "how", "answer"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_who_may_read(rules: Rules, headers: list[Headers], how: dict[str, Any], answer: int | Visitor) -> None:
    assert ask(rules, *headers, **how) == answer


def test_two_users_of_one_request_are_none() -> None:
    headers = CIMultiDict([("Host", "fleet.example"), ("Remote-User", "anna"), ("Remote-User", "root")])
    decision = access.decide(PROXY, Visit(method="GET", path=HOSTS, peer="10.0.0.1", headers=headers))
    assert isinstance(decision, Denied)
    assert decision.status == 401


CHANGES: list[tuple[str, list[Headers], dict[str, Any], int | Visitor]] = [
    ("by an operator, of this page", [OPERATOR, JSON, SAME], {}, OPERATING),
    ("by a viewer", [VIEWER, JSON, SAME], {}, 403),
    ("by nobody", [JSON, SAME], {}, 401),
    ("by an operator's session, of this page", [JSON, SAME], {"session": OPERATING}, OPERATING),
    ("by an operator's session, of another site", [JSON, ELSEWHERE], {"session": OPERATING}, 403),
    ("of a neighbouring name", [JSON, {"Sec-Fetch-Site": "same-site"}], {"session": OPERATING}, 403),
    ("typed by hand", [JSON, {"Sec-Fetch-Site": "none"}], {"session": OPERATING}, 403),
    ("of an old browser", [JSON, {"Origin": "https://fleet.example"}], {"session": OPERATING}, OPERATING),
    ("of an old browser elsewhere", [JSON, {"Origin": "https://attacker.example"}], {"session": OPERATING}, 403),
    ("of another port", [JSON, {"Origin": "https://fleet.example:444"}], {"session": OPERATING}, 403),
    ("of a file", [JSON, {"Origin": "null"}], {"session": OPERATING}, 403),
    ("of no origin", [JSON], {"session": OPERATING}, 403),
    ("of a program with a token", [JSON, OPERATOR], {}, OPERATING),
    ("as a form", [FORM, OPERATOR, SAME], {}, 403),
    ("as text", [{"Content-Type": "text/plain"}, OPERATOR, SAME], {}, 403),
    ("without a type", [OPERATOR, SAME], {}, 403),
    ("logging in", [FORM, SAME], {"path": "/login"}, ANYBODY),
    ("logging in from elsewhere", [FORM, ELSEWHERE], {"path": "/login"}, 403),
    ("logging in from nowhere", [FORM], {"path": "/login"}, 403),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "how", "answer"), [case[1:] for case in CHANGES], ids=[c[0] for c in CHANGES])
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "OPTIONS"])
def test_who_may_change_anything(
    method: str, headers: list[Headers], how: dict[str, Any], answer: int | Visitor
) -> None:
    assert ask(ACTING, FLEET, *headers, **({"method": method, "path": ENTRIES} | how)) == answer


def test_nobody_changes_anything_while_actions_are_off() -> None:
    assert ask(TOKEN, FLEET, OPERATOR, JSON, SAME, method="POST", path=ENTRIES) == 403
