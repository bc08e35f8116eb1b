"""The rows of alerts: one for each time that an alert stands."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from agent.core.protocol import payloads
from agent.fleet.collector.batch import AlertChange
from agent.fleet.history import times, values
from agent.fleet.history.tables import alerts
from agent.fleet.history.writing import statements

Key = tuple[int, str]  # host, alert

_STANDING = select(alerts).where(alerts.c.until.is_(None))
_ADD = alerts.insert()
_UPDATE = (
    update(alerts)
    .where(alerts.c.id == bindparam("row"))
    .values({name: bindparam(f"new_{name}") for name in ("severity", "message", "until")})
)


def write(connection: Connection, changes: Iterable[AlertChange], host_ids: Mapping[str, int]) -> None:
    """Write which alerts began, changed and ended."""
    ordered = [((host_ids[change.host], values.key(change.alert_id)), change) for change in changes]
    keys = {key for key, _ in ordered}
    rows = statements.rows_of_pairs(connection, _STANDING, alerts.c.host_id, alerts.c.alert_id, keys)
    known = [dict(row._mapping) for row in rows]
    before = [dict(row) for row in known]
    standing = {(row["host_id"], row["alert_id"]): row for row in known}
    added: list[dict[str, Any]] = []
    for key, change in ordered:
        _apply(standing, added, key, change)
    changed = [row for row, old in zip(known, before, strict=True) if row != old]
    # those that ended come first, as only one alert of an ID may stand
    statements.execute_many(connection, _UPDATE, [_values(row) for row in changed])
    statements.execute_many(connection, _ADD, added)


def end_others(
    connection: Connection, standing: Iterable[tuple[str, str]], host_ids: Mapping[str, int], at: int
) -> None:
    """End the alerts that stand in the table and are none of these: nobody saw them end."""
    kept = {(host_ids[host], values.key(alert_id)) for host, alert_id in standing if host in host_ids}
    found = connection.execute(_STANDING)
    rows = [
        dict(row._mapping) | {"until": max(at, row.since)} for row in found if (row.host_id, row.alert_id) not in kept
    ]
    statements.execute_many(connection, _UPDATE, [_values(row) for row in rows])


def _apply(standing: dict[Key, dict[str, Any]], added: list[dict[str, Any]], key: Key, change: AlertChange) -> None:
    row = standing.get(key)
    since = times.to_ms(change.alert.since) if change.alert else None
    if row is not None and row["since"] != since:
        row["until"] = max(times.to_ms(change.at) if since is None else since, row["since"])
        del standing[key]
        row = None
    if change.alert is None or since is None:
        return
    if row is None:
        row = standing[key] = {"host_id": key[0], "alert_id": key[1], "since": since, "until": None}
        added.append(row)
    row |= _texts(change.alert)


def _texts(alert: payloads.Alert) -> dict[str, str]:
    return {"severity": alert.severity, "message": values.text(alert.message)}


def _values(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"row": row["id"]} | {f"new_{name}": row[name] for name in ("severity", "message", "until")}
