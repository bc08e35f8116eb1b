"""What holds for every route: the answers, the description, the refusals."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jsonschema
from openapi_spec_validator import OpenAPIV31SpecValidator

from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.web import routes
from tests.support import fleet_history
from tests.support.builders import make_id
from tests.support.fleet_web import Monitor

HTML = "<img src=x onerror=alert(1)>"
FORMULA = "=HYPERLINK(1)"
EXAMPLES = {  # what stands for the variable parts, and the parameters that a route needs
    "/api/hosts/{host}": f"/api/hosts/{fleet_history.HOST}",
    "/api/images/{image}": f"/api/images/{make_id('image')}",
    "/api/series": "/api/series?kind=disk&host=gpu-07",
    "/api/what-if": "/api/what-if?ttl=7d",
}
PATHS = [route.path for route in routes.ALL]
SHEETS = [route.path for route in routes.ALL if route.rows]
WITHOUT_TEXTS = {"/healthz", "/api/me", "/api/version", "/api/policies", "/api/series", "/api/what-if"}
STRANGE = (
    "\0",
    "é",
    "\N{SPOUTING WHALE}",
    "%",
    "_",
    "'\"\\",
    "1e999",
    "-1",
    "9" * 400,
    "NaN",
    "../..",
    "a" * 600,
    "1.1",
)
WITHOUT_HISTORY = {"/healthz", "/api/me", "/api/version", "/api/hosts"}


def example(path: str, parameter: str = "") -> str:
    address = EXAMPLES.get(path, path)
    return f"{address}{'&' if '?' in address else '?'}{parameter}" if parameter else address


async def described(monitor: Monitor) -> dict[str, Any]:
    _, document = await monitor.get("/api/openapi.json")
    assert isinstance(document, dict)
    return document


async def test_the_description_is_valid_openapi(monitor: Monitor) -> None:
    OpenAPIV31SpecValidator(await described(monitor)).validate()


async def test_every_get_route_of_the_application_but_the_page_is_described(monitor: Monitor) -> None:
    assert monitor.server is not None
    served = {
        resource.canonical
        for resource in monitor.server.app.router.resources()
        for route in resource
        if route.method == "GET"
    }
    page = {"/", "/login", "/static/{version}/{name}"}
    assert set((await described(monitor))["paths"]) >= served - page


async def test_every_answer_is_as_it_is_described(monitor: Monitor) -> None:
    await fleet_history.fill(monitor)
    document = await described(monitor)
    for path in PATHS:
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        status, answer = await monitor.get(example(path))
        assert (path, status) == (path, 200)
        jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(answer)


async def test_an_answer_of_another_shape_would_not_be_as_it_is_described(monitor: Monitor) -> None:
    document = await described(monitor)
    schema = {"$ref": "#/components/schemas/Decisions", "components": document["components"]}
    assert not jsonschema.Draft202012Validator(schema).is_valid({"decisions": [{}], "next": None})


async def test_every_answer_has_its_content_type_and_may_not_be_taken_for_another(monitor: Monitor) -> None:
    await fleet_history.fill(monitor)
    for path in PATHS:
        headers = (await monitor.request("GET", example(path))).headers
        assert {name: headers.get(name) for name in SECURE} == SECURE, path
        assert not [name for name in headers if name.lower().startswith("access-control")], path


SECURE = {
    "Content-Type": "application/json",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


async def test_no_get_changes_the_history(monitor: Monitor) -> None:
    await fleet_history.fill(monitor)
    before = await monitor.history.digest()
    for path in (*PATHS, "/", "/login", "/api/openapi.json"):
        await monitor.request("GET", example(path))
        await monitor.request("GET", example(path, "format=csv"))
    assert await monitor.history.digest() == before


async def test_no_route_takes_another_method(monitor: Monitor) -> None:
    await fleet_history.fill(monitor)
    before = await monitor.history.digest()
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in PATHS:
            response = await monitor.request(method, example(path), json={})
            assert (method, path, response.status) == (method, path, 403)
    assert await monitor.history.digest() == before


async def test_a_name_with_html_is_text_of_json_everywhere(monitor: Monitor) -> None:
    await fleet_history.fill(monitor, HTML)
    bodies = {path: await (await monitor.request("GET", example(path))).text() for path in PATHS}
    assert {path for path in PATHS if HTML not in bodies[path]} == WITHOUT_TEXTS
    assert all(json.loads(body) for body in bodies.values())


async def test_an_unknown_parameter_is_refused_by_name_everywhere(monitor: Monitor) -> None:
    for path in PATHS:
        status, problem = await monitor.get(example(path, "colour=red"))
        assert (path, status, problem["title"]) == (path, 400, "Bad Request")
        assert problem["detail"].startswith("'colour': is an unknown parameter; known here: ")


async def test_no_value_of_a_parameter_is_an_error_of_the_monitor(monitor: Monitor) -> None:
    await fleet_history.fill(monitor)
    answers = {
        (route.path, name, value): await monitor.request("GET", f"{path}?{urlencode({**needed, name: value})}")
        for route in routes.ALL
        for path, needed in [_split(example(route.path))]
        for name in route.query.model_fields
        for value in STRANGE
    }
    assert {key: response.status for key, response in answers.items() if response.status not in (200, 400)} == {}
    assert len(answers) > 300


def _split(address: str) -> tuple[str, dict[str, str]]:
    path, _, query = address.partition("?")
    return path, dict(parse_qsl(query))


async def test_a_database_that_does_not_answer_is_503_without_its_details(monitor: Monitor) -> None:
    await fleet_history.fill(monitor)
    monitor.history.error = HistoryUnavailable("/secret/fleet.db: disk I/O error")
    answers = {path: await monitor.request("GET", example(path)) for path in PATHS}
    assert {path for path in PATHS if answers[path].status == 200} == WITHOUT_HISTORY
    for path in set(PATHS) - WITHOUT_HISTORY:
        response = answers[path]
        assert (response.headers["Content-Type"], response.headers["Retry-After"]) == ("application/problem+json", "5")
        assert await response.json(content_type=None) == {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "the monitor's database does not answer; its log says why",
        }


async def test_every_table_comes_as_csv_by_its_format_or_by_accept(monitor: Monitor) -> None:
    await fleet_history.fill(monitor)
    for path in SHEETS:
        by_format = await monitor.request("GET", example(path, "format=csv"))
        by_accept = await monitor.request("GET", example(path), headers={"Accept": "text/csv"})
        assert by_format.headers["Content-Type"] == by_accept.headers["Content-Type"] == "text/csv; charset=utf-8"
        text = await by_format.text()
        assert text == await by_accept.text()
        assert len(text.splitlines()) >= 2, path


async def test_no_cell_of_a_table_begins_a_formula(monitor: Monitor) -> None:
    await fleet_history.fill(monitor, FORMULA)
    for path in SHEETS:
        text = await (await monitor.request("GET", example(path, "format=csv"))).text()
        assert f",{FORMULA}" not in text, path
        assert (f"'{FORMULA}" in text) == (path not in {"/api/what-if", "/api/events"}), path
