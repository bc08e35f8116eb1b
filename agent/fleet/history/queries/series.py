"""Columns for charts."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.fleet.history import times
from agent.fleet.history.queries import idle
from agent.fleet.history.queries.sums import total
from agent.fleet.history.tables import disk_days, disk_hours, freed_days, hosts, idle_spells
from agent.fleet.web import documents

HOURS = timedelta(days=14)  # the longest chart with a point for each hour; they are not kept for longer


async def disk(connection: AsyncConnection, host: str, since: datetime, now: datetime) -> documents.Series:
    """The disk of one host, by hour or, beyond HOURS, by day. A time in which it said nothing has no point."""
    hourly = now - since <= HOURS
    table = disk_hours if hourly else disk_days
    at, begin = (table.c.hour, times.hour_of) if hourly else (table.c.day, times.day_of)
    statement = (
        select(at.label("at"), table.c.used_last, table.c.used_max, table.c.total, table.c.reclaimable)
        .join(hosts, hosts.c.id == table.c.host_id)
        .where(hosts.c.name == host, at >= begin(times.to_ms(since)))
        .order_by(at)
    )
    names = {"used": "used_last", "used_max": "used_max", "total": "total", "reclaimable": "reclaimable"}
    return await _columns(connection, statement, names)


async def reclaimed(connection: AsyncConnection, host: str | None, since: datetime, now: datetime) -> documents.Series:
    """The bytes freed on each day in UTC, zeros included. `estimated`: of evictions without measured bytes."""
    first, last = times.day_of(times.to_ms(since)), times.day_of(times.to_ms(now))
    days = freed_days.c
    statement = select(days.day, total(days.measured).label("measured"), total(days.estimated).label("estimated"))
    if host is not None:
        statement = statement.join(hosts, hosts.c.id == days.host_id).where(hosts.c.name == host)
    statement = statement.where(days.day >= first).group_by(days.day)
    found = {row.day: row for row in (await connection.execute(statement)).all()}
    every = range(first, last + 1, times.DAY)
    return documents.Series(
        at=[day / 1000 for day in every],
        series={
            "measured": [float(found[day].measured) if day in found else 0 for day in every],
            "estimated": [float(found[day].estimated) if day in found else 0 for day in every],
        },
    )


async def idle_times(connection: AsyncConnection, since: datetime) -> documents.Series:
    """How many idle spells that ended with a use were how long. `at`: hours, the beginning of each bucket."""
    statement = (
        select(idle_spells.c.bucket, func.sum(idle_spells.c.n).label("n"))
        .where(idle_spells.c.day >= times.day_of(times.to_ms(since)))
        .group_by(idle_spells.c.bucket)
    )
    found = {row.bucket: float(row.n) for row in (await connection.execute(statement)).all()}
    buckets = idle.buckets(max(found, default=0))
    return documents.Series(at=list(map(float, buckets)), series={"spells": [found.get(each, 0.0) for each in buckets]})


async def _columns(connection: AsyncConnection, statement: Select[Any], names: dict[str, str]) -> documents.Series:
    rows = (await connection.execute(statement)).all()
    return documents.Series(
        at=[row.at / 1000 for row in rows],
        series={name: [getattr(row, column) for row in rows] for name, column in names.items()},
    )
