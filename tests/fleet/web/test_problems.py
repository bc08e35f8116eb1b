"""Errors: one sentence that names what is wrong, as application/problem+json."""

from typing import Any

import pytest

from tests.support.builders import make_id
from tests.support.fleet_web import Monitor

LARGE = 2**63  # one more than a column takes
NO_PAGE = "is not the `next` of an earlier page of this list"
NO_ID = "image: is not an image ID; write sha256: and its 64 digits, or at least the first 12"
NO_TTL = "is not a duration; write a number and a unit, like 90s, 12h or 14d"
FIRST = "limit: Input should be greater than or equal to 1"
VALUES = [
    ("/api/hosts?limit=0", FIRST),
    ("/api/hosts?limit=1001", "limit: must be at most 1000; `next` leads to the next page"),
    ("/api/hosts?limit=many", "limit: Input should be a valid integer, unable to parse string as an integer"),
    ("/api/hosts?state=gone", "state: Input should be 'online', 'stale', 'offline' or 'unknown'"),
    ("/api/hosts?q=a&q=b", "q: is given twice"),
    ("/api/hosts?a=1&limit=0", f"{FIRST}; 'a': is an unknown parameter; known here: limit, after, state, q, format"),
    ("/api/decisions?after=x", f"after: 'x' {NO_PAGE}"),
    ("/api/decisions?after=1", f"after: '1' {NO_PAGE}"),
    (f"/api/decisions?after=1.{10**30}", f"after: '1.{10**30}' {NO_PAGE}"),
    (f"/api/decisions?after=1.{LARGE}", f"after: '1.{LARGE}' {NO_PAGE}"),
    ("/api/decisions?since=yesterday", "since: is neither a time like 2026-03-01T12:00:00Z nor a duration like 7d"),
    ("/api/decisions?regret=yes", "regret: is neither true nor false"),
    ("/api/decisions?q=a%00b", "q: has a control character"),
    (
        "/api/decisions?outcome=gone",
        "outcome: Input should be 'removed', 'refused', 'failed', 'would-remove' or 'pending'",
    ),
    ("/api/decisions?image=abc", NO_ID),
    ("/api/images?sort=name", "sort: Input should be 'bytes', 'hosts', 'size' or 'used'"),
    ("/api/images/nginx", NO_ID),
    ("/api/events?kind=decision", "kind: Input should be 'gap', 'dropped', 'sweep' or 'build-cache'"),
    ("/api/series", "kind: Field required"),
    ("/api/series?kind=disk", "host: is missing; kind=disk is of one host"),
    ("/api/series?kind=idle&since=20000d", "since: must lie within the last ten years"),
    ("/api/series?kind=idle&since=2026-03-02T00:00:00Z", "since: must lie within the last ten years"),
    ("/api/what-if", "ttl: Field required"),
    ("/api/what-if?ttl=7", f"ttl: '7' {NO_TTL}"),
    ("/api/what-if?ttl=0", "ttl: must be longer than 0"),
]


def problem(status: int, title: str, detail: str) -> tuple[int, dict[str, Any]]:
    return status, {"type": "about:blank", "title": title, "status": status, "detail": detail}


async def test_a_wrong_value_is_refused_by_name_and_way_out(monitor: Monitor) -> None:
    for path, detail in VALUES:
        assert await monitor.get(path) == problem(400, "Bad Request", detail), path


async def test_an_empty_value_counts_as_none(monitor: Monitor) -> None:
    assert (await monitor.get("/api/decisions?host=&since=&limit=&q="))[0] == 200


async def test_what_does_not_exist_is_named(monitor: Monitor) -> None:
    missing = make_id("missing")
    assert await monitor.get("/api/hosts/gpu-99") == problem(404, "Not Found", "there is no host 'gpu-99'")
    assert await monitor.get(f"/api/images/{missing}") == problem(404, "Not Found", f"there is no image '{missing}'")
    assert await monitor.get("/api/nothing") == problem(
        404, "Not Found", "there is no '/api/nothing'; /api/openapi.json lists what there is"
    )
    assert await monitor.get("/api/series?kind=disk&host=gpu-99") == (
        200,
        {"at": [], "series": {"used": [], "used_max": [], "total": [], "reclaimable": []}},
    )


async def test_another_method_is_refused_with_those_that_are_taken(monitor: Monitor) -> None:
    response = await monitor.request("POST", "/login", data={}, headers={"Sec-Fetch-Site": "same-origin"})
    assert response.status == 404
    response = await monitor.request("POST", "/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert response.status == 404
    response = await monitor.request("GET", "/logout")
    assert (response.status, response.headers["Allow"]) == (405, "POST")
    assert (await response.json(content_type=None))["detail"] == "'/logout' does not take 'GET'; it takes POST"


async def test_an_error_of_the_monitor_is_logged_and_not_shown(
    monitor: Monitor, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor.history.error = RuntimeError("/secret/path")
    assert await monitor.get("/api/policies") == problem(
        500, "Internal Server Error", "this is an error of the monitor; its log has more"
    )
    assert "/secret/path" in capsys.readouterr().out


STRANGE = (
    "/api/hosts/%00",
    "/api/hosts/%ff%fe",
    "/api/hosts/%F0%9F%90%B3",
    "/api/hosts/..%2f..%2fetc",
    "/%00",
    "/a%0d%0ab",
)


async def test_a_strange_path_is_not_found(monitor: Monitor) -> None:
    for path in STRANGE:
        status, answer = await monitor.get(path)
        assert (path, status, answer["status"]) == (path, 404, 404)
