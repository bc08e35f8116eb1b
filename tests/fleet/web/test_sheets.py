"""Tables as CSV."""

import csv
import io

import aiohttp
import pytest

from agent.fleet.history.errors import HistoryUnavailable
from agent.fleet.history.queries import decisions as queries
from agent.fleet.web import documents, sheets
from tests.support.fleet_web import Monitor
from tests.support.times import START


async def table(monitor: Monitor, path: str) -> list[list[str]]:
    text = await (await monitor.request("GET", path)).text()
    return list(csv.reader(io.StringIO(text)))


async def test_a_table_has_a_line_of_names_and_a_line_for_each_row(monitor: Monitor) -> None:
    monitor.live.add("gpu-07", images=3, version="0.9.1")
    head, row = await table(monitor, "/api/hosts?format=csv")
    assert dict(zip(head, row, strict=True)) == {
        "host": "gpu-07",
        "state": "online",
        "mode": "",
        "paused": "",
        "version": "0.9.1",
        "last_seen": "",
        "images": "3",
        "images_left_out": "0",
        "disk_used_bytes": "",
        "disk_total_bytes": "",
        "high": "",
        "reclaimable_bytes": "",
        "next_eviction": "",
        "last_decision": "",
        "freed_24h_bytes": "0",
        "regrets_30d": "0",
        "alerts": "",
    }


async def test_a_table_has_all_rows_or_as_many_as_are_asked_for(monitor: Monitor) -> None:
    for number in range(2500):
        monitor.live.add(f"gpu-{number:04}")
    names = [f"gpu-{number:04}" for number in range(2500)]
    whole = await table(monitor, "/api/hosts?format=csv")
    some = await table(monitor, "/api/hosts?format=csv&limit=1500&after=gpu-0000")
    assert [row[0] for row in whole[1:]] == names
    assert [row[0] for row in some[1:]] == names[1:1501]


async def test_a_table_is_offered_as_a_file(monitor: Monitor) -> None:
    response = await monitor.request("GET", "/api/decisions?format=csv")
    assert response.headers["Content-Disposition"] == 'attachment; filename="decisions.csv"'


async def test_json_that_is_asked_for_wins_over_the_header(monitor: Monitor) -> None:
    response = await monitor.request("GET", "/api/decisions?format=json", headers={"Accept": "text/csv"})
    assert response.headers["Content-Type"] == "application/json"


async def test_a_table_that_the_database_stops_in_its_middle_does_not_look_whole(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def page(*_args: object) -> documents.Decisions:
        calls.append("page")
        if len(calls) > 1:
            raise HistoryUnavailable("gone")
        return documents.Decisions(decisions=[], next="1.1")

    calls: list[str] = []
    monkeypatch.setattr(queries, "page", page)
    response = await monitor.request("GET", "/api/decisions?format=csv")
    assert response.status == 200
    with pytest.raises(aiohttp.ClientPayloadError):
        await response.read()


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("a=1", "a=1"),
        (-1, -1),
        (1.5, 1.5),
        (None, None),
        (True, "true"),
        (["a:1", "b:1"], "a:1 b:1"),
        (["=a", "b"], "'=a b"),
        ([{"at": 1}], '[{"at": 1}]'),
        ({"a": "é"}, '{"a": "é"}'),
    ],
)
def test_no_text_begins_a_formula(value: object, cell: object) -> None:
    assert sheets.cell(value) == cell


def test_the_rows_of_a_field_have_its_model() -> None:
    assert sheets.row_model(documents.Decisions, "decisions") is documents.Decision
    assert sheets.lines([documents.Alert(host="a", id="b", severity="warning", message='x,"y"', since=START)]) == (
        'a,b,warning,"x,""y""",2026-03-01T12:00:00Z,\r\n'
    )
