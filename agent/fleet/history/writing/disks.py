"""How full each disk was, by hour and by day: the last and the largest value. It needs no job that sums up."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, case

from agent.fleet.collector.batch import InventoryChange
from agent.fleet.history import times
from agent.fleet.history.tables import disk_days, disk_hours
from agent.fleet.history.writing import statements


def write(connection: Connection, inventories: Iterable[tuple[int, int, InventoryChange]]) -> None:
    """Add inventories, each with the ID of its host and its time, in order."""
    hours: dict[tuple[int, int], dict[str, Any]] = {}
    days: dict[tuple[int, int], dict[str, Any]] = {}
    for host, at, change in inventories:
        if (summary := change.summary) is not None:
            row = {
                "used_last": summary.disk_used_bytes,
                "used_max": summary.disk_used_bytes,
                "total": summary.disk_total_bytes,
                "reclaimable": summary.reclaimable_bytes,
            }
            _add(hours, (host, times.hour_of(at)), row)
            _add(days, (host, times.day_of(at)), row)
    _upsert(connection, disk_hours, "hour", hours)
    _upsert(connection, disk_days, "day", days)


def _add(rows: dict[tuple[int, int], dict[str, Any]], key: tuple[int, int], row: Mapping[str, Any]) -> None:
    largest = max(filter(None, (rows.get(key, row)["used_max"], row["used_max"])), default=row["used_max"])
    rows[key] = {**row, "used_max": largest}


def _upsert(connection: Connection, table: Table, span: str, rows: Mapping[tuple[int, int], dict[str, Any]]) -> None:
    values = [{"host_id": host, span: begin} | row for (host, begin), row in sorted(rows.items())]
    statements.execute_many(connection, _latest_and_largest(connection.dialect.name, table, span), values)


@cache
def _latest_and_largest(dialect: str, table: Table, span: str) -> statements.Insert:
    statement = statements.insert(dialect, table)
    new, old = statement.excluded, table.c
    is_largest = old.used_max.is_(None) | (new.used_max > old.used_max)
    latest = {name: new[name] for name in ("used_last", "total", "reclaimable")}
    changes = latest | {"used_max": case((is_largest, new.used_max), else_=old.used_max)}
    return statement.on_conflict_do_update(index_elements=["host_id", span], set_=changes)
