"""Logging in, and what a visitor gets who may not read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.config import sections
from tests.support import fleet_web
from tests.support.fleet_web import Monitor

VIEWER, OPERATOR = "viewer-token-0123456789", "operator-token-0123456789"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def monitor(tmp_path: Path) -> AsyncIterator[Monitor]:
    """One that asks for a token."""
    for name, token in (("viewer", VIEWER), ("operator", OPERATOR)):
        (tmp_path / name).write_text(f"{token}\n")
    auth = sections.MonitorAuth(
        mode="token", viewer_token_file=str(tmp_path / "viewer"), operator_token_file=str(tmp_path / "operator")
    )
    settings = sections.Monitor(public_url="https://fleet.example", auth=auth)
    async with fleet_web.monitor(tmp_path, settings) as running:
        yield running


async def log_in(monitor: Monitor, token: str = VIEWER, **headers: str) -> Any:
    return await monitor.request("POST", "/login", data={"token": token}, headers=SAME | headers)


async def test_without_a_token_the_api_is_closed_and_says_how_to_open_it(monitor: Monitor) -> None:
    response = await monitor.request("GET", "/api/hosts")
    assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="torchkeeper"')
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (await response.json(content_type=None))["detail"] == "log in, or send a token"


async def test_without_a_session_the_page_leads_to_the_form(monitor: Monitor) -> None:
    response = await monitor.request("GET", "/")
    assert (response.status, response.headers["Location"]) == (303, "login")
    form = await monitor.request("GET", "/login")
    assert (form.status, form.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "form-action 'self'" in form.headers["Content-Security-Policy"]


async def test_a_token_opens_the_api_with_its_role(monitor: Monitor) -> None:
    roles = {}
    for token in (VIEWER, OPERATOR):
        _, me = await monitor.get("/api/me", headers={"Authorization": f"Bearer {token}"})
        roles[token] = me
    assert roles == {
        VIEWER: {"user": None, "role": "viewer", "actions": False},
        OPERATOR: {"user": None, "role": "operator", "actions": False},
    }


async def test_logging_in_begins_a_session_that_no_script_reads_and_no_other_site_uses(monitor: Monitor) -> None:
    response = await log_in(monitor)
    cookie = response.cookies["torchkeeper"]
    assert (response.status, response.headers["Location"]) == (303, "./")
    assert {key: cookie[key] for key in ("httponly", "samesite", "secure", "path", "max-age")} == {
        "httponly": True,
        "samesite": "Strict",
        "secure": "",
        "path": "/",
        "max-age": "43200",
    }
    assert VIEWER not in cookie.value
    assert (await monitor.get("/api/me", cookies={"torchkeeper": cookie.value}))[0] == 200


async def test_at_the_public_https_address_the_cookie_is_for_https_and_this_host_only(monitor: Monitor) -> None:
    response = await log_in(monitor, Host="fleet.example")
    cookie = response.cookies["__Host-torchkeeper"]
    assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
    headers = {"Host": "fleet.example", "Cookie": f"__Host-torchkeeper={cookie.value}"}
    assert (await monitor.get("/api/me", headers=headers))[0] == 200


async def test_a_session_ends_after_twelve_hours(monitor: Monitor) -> None:
    cookie = (await log_in(monitor)).cookies["torchkeeper"].value
    monitor.clock.freeze(12 * 3600 - 1)
    assert (await monitor.get("/api/me", cookies={"torchkeeper": cookie}))[0] == 200
    monitor.clock.freeze(1)
    assert (await monitor.get("/api/me", cookies={"torchkeeper": cookie}))[0] == 401


async def test_logging_out_ends_the_session_on_the_server(monitor: Monitor) -> None:
    cookies = {"torchkeeper": (await log_in(monitor)).cookies["torchkeeper"].value}
    response = await monitor.request("POST", "/logout", headers=SAME, cookies=cookies)
    assert (response.status, response.headers["Location"]) == (303, "login")
    assert (await monitor.get("/api/me", cookies=cookies))[0] == 401


async def test_after_ten_wrong_tokens_in_a_minute_none_of_this_peer_is_looked_at(monitor: Monitor) -> None:
    for _ in range(5):
        assert (await log_in(monitor, "wrong")).status == 401
        assert (await monitor.get("/api/hosts", headers={"Authorization": "Bearer wrong"}))[0] == 401
    assert (await log_in(monitor)).status == 429
    response = await monitor.request("GET", "/api/hosts", headers={"Authorization": f"Bearer {VIEWER}"})
    assert (response.status, response.headers["Retry-After"]) == (429, "61")
    monitor.clock.freeze(60)
    assert (await log_in(monitor)).status == 303


async def test_too_many_wrong_tokens_end_no_session(monitor: Monitor) -> None:
    cookies = {"torchkeeper": (await log_in(monitor)).cookies["torchkeeper"].value}
    for _ in range(11):
        await log_in(monitor, "wrong")
    assert (await monitor.get("/api/me", cookies=cookies))[0] == 200


async def test_a_form_from_another_site_is_refused(monitor: Monitor) -> None:
    response = await monitor.request("POST", "/login", data={"token": VIEWER}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (response.status, "Set-Cookie" in response.headers) == (403, False)


async def test_a_wrong_token_is_not_repeated_in_the_answer(monitor: Monitor) -> None:
    response = await log_in(monitor, "<script>secret")
    assert "secret" not in await response.text()


async def test_a_form_that_is_too_long_is_refused(monitor: Monitor) -> None:
    assert (await log_in(monitor, "x" * 100_000)).status == 413


async def test_a_request_for_another_host_is_misdirected(monitor: Monitor) -> None:
    status, problem = await monitor.get("/healthz", headers={"Host": "attacker.example"})
    assert (status, problem["detail"]) == (
        421,
        "'attacker.example' is not a name of this monitor; if it should be, set monitor.public_url",
    )


async def test_an_open_monitor_has_no_form(tmp_path: Path) -> None:
    async with fleet_web.monitor(tmp_path) as running:
        assert (await running.get("/login"))[0] == 404
        assert (await log_in(running)).status == 404
