"""What another TTL would evict now, from the database alone: no host is asked, and nothing is changed.

An image that only its TTL keeps (`recent`), or that its TTL evicts (`idle-ttl`), is idle since a known time. It would
go under another TTL once it is idle for that long. One whose TTL is not that of the host's policy has it from a rule or
a label, and keeps it. Every other reason keeps an image under any TTL.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.core.policy.decision import Outcome, Reason
from agent.fleet.history import times
from agent.fleet.history.queries import idle
from agent.fleet.history.queries.sums import total
from agent.fleet.history.tables import decisions, host_images, hosts, idle_spells, policies
from agent.fleet.web import documents

MOST_HOSTS = 1000  # that are listed; the sums are over all
SPELLS = timedelta(days=90)  # how far back idle spells count
_BY_TTL = (Reason.RECENT, Reason.IDLE_TTL)


async def what_if(connection: AsyncConnection, ttl: timedelta, now: datetime) -> documents.WhatIf:
    rows = sorted((await connection.execute(_statement(ttl, now))).all(), key=lambda row: (-row.bytes, row.name))
    spells, ended = await _spells(connection, ttl, now, await _usual_ttl(connection))
    return documents.WhatIf(
        ttl_seconds=ttl.total_seconds(),
        at=now,
        images=sum(row.images for row in rows),
        bytes=int(sum(row.bytes for row in rows)),
        hosts_with=len(rows),
        offline_left_out=await _offline(connection),
        idle_spells=spells,
        ended_with_use=ended,
        hosts=[_host(row) for row in rows[:MOST_HOSTS]],
    )


def _statement(ttl: timedelta, now: datetime) -> Select[Any]:
    """The images that would go, by host. Of the images it reads one index alone, host by host."""
    image = host_images.c
    return (
        select(
            hosts.c.name,
            hosts.c.disk_used,
            hosts.c.disk_total,
            func.count().label("images"),
            total(image.estimated).label("bytes"),
        )
        .select_from(hosts)
        .join(policies, policies.c.digest == hosts.c.policy_digest)
        .join(host_images, image.host_id == hosts.c.id)
        .where(
            _counted(),
            image.reason.in_(_BY_TTL),
            image.idle_since <= times.to_ms(now - ttl),
            image.deadline - image.idle_since == policies.c.ttl,
        )
        .group_by(hosts.c.id)
    )


def _counted() -> ColumnElement[bool]:
    """A host that is offline may have changed since."""
    return and_(hosts.c.state != "offline", hosts.c.forgotten_at.is_(None))


async def _usual_ttl(connection: AsyncConnection) -> timedelta:
    """The TTL that most hosts have."""
    number = func.count()
    statement = (
        select(policies.c.ttl)
        .join(hosts, hosts.c.policy_digest == policies.c.digest)
        .where(_counted(), policies.c.ttl.is_not(None))
        .group_by(policies.c.ttl)
        .order_by(number.desc(), policies.c.ttl)
        .limit(1)
    )
    return timedelta(milliseconds=(await connection.execute(statement)).scalar() or 0)


async def _spells(connection: AsyncConnection, ttl: timedelta, now: datetime, present: timedelta) -> tuple[int, int]:
    """About how many idle spells were at least as long as `ttl`, and how many of those ended with a use in time."""
    since = times.to_ms(now - SPELLS)
    buckets = (
        select(idle_spells.c.bucket, func.sum(idle_spells.c.n).label("n"))
        .where(idle_spells.c.day >= times.day_of(since))
        .group_by(idle_spells.c.bucket)
    )
    used = {row.bucket: int(row.n) for row in (await connection.execute(buckets)).all()}
    evicted = select(func.count()).where(
        decisions.c.outcome.in_((Outcome.REMOVED, Outcome.WOULD_REMOVE)),
        decisions.c.at >= since,
        decisions.c.idle_seconds >= ttl.total_seconds(),
    )
    ended_by_eviction = (await connection.execute(evicted)).scalar_one()
    return idle.between(used, ttl) + ended_by_eviction, idle.between(used, ttl, present)


async def _offline(connection: AsyncConnection) -> int:
    statement = select(func.count()).where(hosts.c.state == "offline", hosts.c.forgotten_at.is_(None))
    return (await connection.execute(statement)).scalar_one()


def _host(row: Row[Any]) -> documents.WhatIfHost:
    return documents.WhatIfHost(
        host=row.name,
        images=row.images,
        bytes=int(row.bytes),
        disk_used_bytes=row.disk_used,
        disk_total_bytes=row.disk_total,
    )
