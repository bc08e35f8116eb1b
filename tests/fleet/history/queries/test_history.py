"""Alerts, policies and events in time."""

from typing import Any

import pytest
from sqlalchemy import event as hooks

from agent.fleet.history import tables
from agent.fleet.history.queries import alerts, events, policies
from agent.fleet.history.queries.events import Filter
from agent.fleet.history.reading import read
from agent.fleet.web import documents
from tests.support.table_history import TableHistory
from tests.support.times import DAY, HOUR, MINUTE, START


async def add_alert(history: TableHistory, alert_id: str, **values: Any) -> None:
    defaults = {"severity": "warning", "message": "nearly full", "since": START, "until": None}
    host = await history.host(values.pop("host", "gpu-07"))
    await history.add(tables.alerts, host_id=host, alert_id=alert_id, **(defaults | values))


async def alert_ids(history: TableHistory, **wanted: Any) -> list[str]:
    page = await read(history, lambda connection: alerts.page(connection, "", 100, **wanted))
    return [alert.id for alert in page.alerts]


async def test_alerts_come_by_their_beginning_and_are_filtered(history: TableHistory) -> None:
    await add_alert(history, "old", since=START - DAY, until=START - HOUR)
    await add_alert(history, "standing", since=START - 2 * DAY)
    await add_alert(history, "elsewhere", since=START, host="gpu-08")
    wanted: list[dict[str, Any]] = [
        {},
        {"standing": True},
        {"standing": False},
        {"host": "gpu-08"},
        {"since": START - HOUR},
        {"since": START - MINUTE},
    ]
    assert [await alert_ids(history, **each) for each in wanted] == [
        ["elsewhere", "old", "standing"],
        ["elsewhere", "standing"],
        ["old"],
        ["elsewhere"],
        ["elsewhere", "old", "standing"],
        ["elsewhere", "standing"],
    ]


async def test_an_alert_has_its_beginning_and_its_end(history: TableHistory) -> None:
    await add_alert(history, "disk", severity="critical", until=START + HOUR)
    page = await read(history, lambda connection: alerts.page(connection, "", 1))
    assert page == documents.Alerts(
        alerts=[
            documents.Alert(
                host="gpu-07", id="disk", severity="critical", message="nearly full", since=START, until=START + HOUR
            )
        ],
        next=None,
    )


async def test_policies_come_by_the_number_of_hosts_without_those_that_are_forgotten(history: TableHistory) -> None:
    for digest in ("rare", "usual", "unused"):
        await history.policy(digest, {"name": digest})
    await history.host("c", policy_digest="rare")
    await history.host("b", policy_digest="usual")
    await history.host("a", policy_digest="usual")
    await history.host("d", policy_digest="unused", forgotten_at=START)
    assert await read(history, policies.in_force) == documents.Policies(
        policies=[
            documents.PolicyInForce(digest="usual", policy={"name": "usual"}, hosts=2, example="a"),
            documents.PolicyInForce(digest="rare", policy={"name": "rare"}, hosts=1, example="c"),
        ]
    )


async def fill(history: TableHistory) -> None:
    """A gap, a dropped range and a sweep of gpu-07, and a prune of gpu-08, an hour apart."""
    host, other = await history.host("gpu-07"), await history.host("gpu-08")
    first, second = [
        await history.add(tables.streams, host_id=each, epoch="e", contiguous=4, first_at=START, last_at=START)
        for each in (host, other)
    ]
    at = {"stream_id": first, "host_id": host}
    await history.add(
        tables.gaps, seq=1, at=START, since=START - HOUR, until=START, seconds=3600.0, cause="restart", **at
    )
    await history.add(
        tables.dropped, seq=2, at=START + HOUR, first_seq=5, last_seq=9, count=3, reason="outbox-full", **at
    )
    await history.add(
        tables.sweeps, seq=3, at=START + 2 * HOUR, mode="enforce", reasons={"recent": 4}, outcomes={"removed": 1},
        estimated=5, measured=None, **at,
    )  # fmt: skip
    await history.add(
        tables.build_cache, seq=1, at=START + 3 * HOUR, mode="enforce", state="pruned", unused_seconds=7.0, records=2,
        estimated=5, measured=6, error=None, stream_id=second, host_id=other,
    )  # fmt: skip


async def kinds(history: TableHistory, after: str = "", limit: int = 100, **wanted: Any) -> list[str]:
    page = await read(history, lambda connection: events.page(connection, Filter(**wanted), after, limit))
    return [event.kind for event in page.events] + ([page.next] if page.next else [])


async def test_events_of_all_kinds_come_newest_first_with_their_data(history: TableHistory) -> None:
    await fill(history)
    page = await read(history, lambda connection: events.page(connection, Filter(), "", 100))
    assert page == documents.HistoryEvents(
        events=[
            documents.HistoryEvent(
                host="gpu-08",
                kind="build-cache",
                at=START + 3 * HOUR,
                data={
                    "mode": "enforce",
                    "state": "pruned",
                    "unused_seconds": 7.0,
                    "records": 2,
                    "estimated": 5,
                    "measured": 6,
                    "error": None,
                },
            ),
            documents.HistoryEvent(
                host="gpu-07",
                kind="sweep",
                at=START + 2 * HOUR,
                data={
                    "mode": "enforce",
                    "reasons": {"recent": 4},
                    "outcomes": {"removed": 1},
                    "estimated": 5,
                    "measured": None,
                },
            ),
            documents.HistoryEvent(
                host="gpu-07",
                kind="dropped",
                at=START + HOUR,
                data={"first_seq": 5, "last_seq": 9, "count": 3, "reason": "outbox-full"},
            ),
            documents.HistoryEvent(
                host="gpu-07",
                kind="gap",
                at=START,
                data={
                    "since": "2026-03-01T11:00:00Z",
                    "until": "2026-03-01T12:00:00Z",
                    "seconds": 3600.0,
                    "cause": "restart",
                },
            ),
        ],
        next=None,
    )


async def test_events_are_filtered(history: TableHistory) -> None:
    await fill(history)
    wanted: list[dict[str, Any]] = [
        {"kind": "gap"},
        {"host": "gpu-08"},
        {"kind": "gap", "host": "gpu-08"},
        {"since": START + HOUR, "until": START + 3 * HOUR},
    ]
    assert [await kinds(history, **each) for each in wanted] == [["gap"], ["build-cache"], [], ["sweep", "dropped"]]


async def test_a_page_of_events_goes_on_across_their_kinds(history: TableHistory) -> None:
    await fill(history)
    *first, following = await kinds(history, limit=3)
    assert (first, await kinds(history, after=following, limit=3)) == (["build-cache", "sweep", "dropped"], ["gap"])


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("wanted", [Filter(), Filter(kind="sweep", since=START - DAY), Filter(host="gpu-07")])
async def test_events_of_a_page_are_read_in_the_order_of_an_index_and_never_sorted(
    history: TableHistory, wanted: Filter
) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    await history.host("gpu-07")
    async with history.reader() as connection:
        hooks.listen(connection.sync_connection, "before_cursor_execute", note)
        await events.page(connection, wanted, "", 100)
        queries = [query for query in asked if query[0].startswith("SELECT")]
        plans = [
            row.detail
            for statement, parameters in queries
            for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert len(queries) == (1 if wanted.kind else len(events.TABLES))
    assert [plan for plan in plans if "SCAN" in plan and "USING INDEX" not in plan] == []
    if wanted.host is None:
        assert [plan for plan in plans if "TEMP B-TREE" in plan] == []
