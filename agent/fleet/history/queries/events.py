"""Events other than decisions: gaps, dropped ranges, sweeps, prunes of build cache."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.core import units
from agent.fleet.history import times
from agent.fleet.history.queries import paging
from agent.fleet.history.tables import build_cache, dropped, gaps, hosts, sweeps
from agent.fleet.web import documents

Kind = Literal["gap", "dropped", "sweep", "build-cache"]

TABLES: dict[Kind, Table] = {"gap": gaps, "dropped": dropped, "sweep": sweeps, "build-cache": build_cache}
_KEYS = ("at", "stream_id", "seq")  # of a page; a number of a stream is one event, of one kind
_OUTSIDE = {*_KEYS, "host_id", "name"}  # columns that are not in `data`
_TIMES = {"since", "until"}  # columns of `data` that are times
_OBJECTS = {"reasons", "outcomes"}  # columns of `data` that are JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events; None: any."""

    kind: Kind | None = None
    host: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def page(connection: AsyncConnection, wanted: Filter, after: str, limit: int) -> documents.HistoryEvents:
    """Newest first. Raises BadCursor."""
    found: list[tuple[Kind, Row[Any]]] = []
    for kind in TABLES if wanted.kind is None else (wanted.kind,):
        found += [(kind, row) for row in await _rows(connection, TABLES[kind], wanted, after, limit)]
    found.sort(key=lambda item: tuple(getattr(item[1], key) for key in _KEYS), reverse=True)
    rows, following = paging.cut([row for _, row in found], limit, *_KEYS)
    shown = [_document(kind, row) for kind, row in found[: len(rows)]]
    return documents.HistoryEvents(events=shown, next=following)


async def _rows(connection: AsyncConnection, table: Table, wanted: Filter, after: str, limit: int) -> list[Row[Any]]:
    statement = select(table, hosts.c.name).join(hosts, hosts.c.id == table.c.host_id)
    if wanted.host is not None:
        statement = statement.where(hosts.c.name == wanted.host)
    if wanted.since is not None:
        statement = statement.where(table.c.at >= times.to_ms(wanted.since))
    if wanted.until is not None:
        statement = statement.where(table.c.at < times.to_ms(wanted.until))
    statement = paging.descending(statement, tuple(table.c[key] for key in _KEYS), after, limit)
    return list((await connection.execute(statement)).all())


def _document(kind: Kind, row: Row[Any]) -> documents.HistoryEvent:
    data = {name: _value(name, value) for name, value in row._mapping.items() if name not in _OUTSIDE}
    return documents.HistoryEvent(host=row.name, kind=kind, at=times.from_ms(row.at), data=data)


def _value(name: str, value: Any) -> Any:
    if name in _TIMES:
        return units.format_time(times.from_ms(value))
    return json.loads(value) if name in _OBJECTS else value
