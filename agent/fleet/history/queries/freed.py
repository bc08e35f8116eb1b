"""What evictions freed."""

from datetime import datetime, timedelta

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.core.policy.decision import Outcome
from agent.fleet.history import times
from agent.fleet.history.queries.sums import total
from agent.fleet.history.tables import decisions, freed_days, hosts
from agent.fleet.web import documents

BUILD_CACHE = "build-cache"  # as a reason in freed_days


async def in_time(connection: AsyncConnection, since: datetime) -> documents.Reclaimed:
    """The whole fleet's sums from the day of `since` on. Prunes of build cache count as bytes only."""
    days = freed_days.c
    images = days.reason != BUILD_CACHE
    statement = select(
        total(days.measured).label("measured"),
        total(days.estimated).label("estimated"),
        total(case((images, days.evicted), else_=0)).label("evicted"),
        total(case((images, days.would), else_=0)).label("would"),
        total(days.regrets).label("regrets"),
    ).where(days.day >= times.day_of(times.to_ms(since)))
    row = (await connection.execute(statement)).one()
    return documents.Reclaimed(
        measured_bytes=int(row.measured),
        estimated_bytes=int(row.estimated),
        evicted=int(row.evicted),
        would_evict=int(row.would),
        regrets=int(row.regrets),
    )


async def by_host(connection: AsyncConnection, now: datetime, span: timedelta) -> dict[str, int]:
    """The bytes that evictions of the last `span` freed on each host: measured ones, else their estimate."""
    statement = (
        select(hosts.c.name, total(func.coalesce(decisions.c.measured, decisions.c.estimated)).label("bytes"))
        .join(hosts, hosts.c.id == decisions.c.host_id)
        .where(decisions.c.outcome == Outcome.REMOVED, decisions.c.outcome_at > times.to_ms(now - span))
        # a decision comes before its outcome; this lets the index on the outcome leave out the years before
        .where(decisions.c.at > times.to_ms(now - span - timedelta(days=1)))
        .group_by(hosts.c.name)
    )
    return {row.name: int(row.bytes) for row in (await connection.execute(statement)).all()}


async def regrets_by_host(connection: AsyncConnection, now: datetime, span: timedelta) -> dict[str, int]:
    """The regrets of each host whose image came back within the last `span`."""
    statement = (
        select(hosts.c.name, func.count().label("regrets"))
        .join(hosts, hosts.c.id == decisions.c.host_id)
        .where(decisions.c.outcome == Outcome.REMOVED, decisions.c.regret_at > times.to_ms(now - span))
        .group_by(hosts.c.name)
    )
    return {row.name: row.regrets for row in (await connection.execute(statement)).all()}
