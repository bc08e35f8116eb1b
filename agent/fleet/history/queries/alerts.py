"""Alerts of all hosts, standing and past."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.fleet.history import times
from agent.fleet.history.queries import paging, values
from agent.fleet.history.tables import alerts, hosts
from agent.fleet.web import documents


async def page(
    connection: AsyncConnection,
    after: str,
    limit: int,
    *,
    host: str | None = None,
    standing: bool | None = None,
    since: datetime | None = None,
) -> documents.Alerts:
    """Those that began last first. `standing`: None for all. `since`: those that stood then or later."""
    statement = select(alerts, hosts.c.name).join(hosts, hosts.c.id == alerts.c.host_id)
    if host is not None:
        statement = statement.where(hosts.c.name == host)
    if standing is not None:
        statement = statement.where(alerts.c.until.is_(None) if standing else alerts.c.until.is_not(None))
    if since is not None:
        statement = statement.where(alerts.c.until.is_(None) | (alerts.c.until >= times.to_ms(since)))
    statement = paging.descending(statement, (alerts.c.since, alerts.c.id), after, limit)
    rows, following = paging.cut((await connection.execute(statement)).all(), limit, "since", "id")
    return documents.Alerts(alerts=[_document(row) for row in rows], next=following)


def _document(row: Row[Any]) -> documents.Alert:
    return documents.Alert(
        host=row.name,
        id=row.alert_id,
        severity=row.severity,
        message=row.message,
        since=times.from_ms(row.since),
        until=values.maybe(row.until),
    )
