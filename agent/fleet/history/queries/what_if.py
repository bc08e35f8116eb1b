"""What another TTL would evict now, from the database alone: no host is asked, and nothing is changed.

An image that only its TTL keeps (`recent`), or that its TTL evicts (`idle-ttl`), is idle since a known time. It would
go under another TTL once it is idle for that long. One whose TTL is not that of the host's policy has it from a rule or
a label, and keeps it. Every other reason keeps an image under any TTL.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.core.policy.decision import Outcome, Reason
from agent.fleet.history import times
from agent.fleet.history.queries import idle
from agent.fleet.history.queries.policies import ttl_of
from agent.fleet.history.queries.sums import total
from agent.fleet.history.tables import decisions, host_images, hosts, idle_spells, policies
from agent.fleet.web import documents

MOST_HOSTS = 1000  # that are listed; the sums are over all
SPELLS = timedelta(days=90)  # how far back idle spells count
_BY_TTL = (Reason.RECENT, Reason.IDLE_TTL)


async def what_if(connection: AsyncConnection, ttl: timedelta, now: datetime) -> documents.WhatIf:
    present = await _present_ttls(connection)
    rows = list((await connection.execute(_statement(ttl, now, present))).all()) if present else []
    rows.sort(key=lambda row: (-row.bytes, row.name))
    spells, ended = await _spells(connection, ttl, now, _usual(present))
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


async def _present_ttls(connection: AsyncConnection) -> dict[timedelta, tuple[list[str], int]]:
    """For each TTL in force: the digests of the policies that have it, and the number of hosts."""
    statement = (
        select(policies, func.count().label("hosts"))
        .join(hosts, hosts.c.policy_digest == policies.c.digest)
        .where(_counted())
        .group_by(policies.c.digest, policies.c.document)
    )
    found: dict[timedelta, tuple[list[str], int]] = {}
    for row in (await connection.execute(statement)).all():
        if (ttl := ttl_of(json.loads(row.document))) is not None:
            digests, number = found.get(ttl, ([], 0))
            found[ttl] = ([*digests, row.digest], number + row.hosts)
    return found


def _usual(present: dict[timedelta, tuple[list[str], int]]) -> timedelta:
    """The TTL that most hosts have."""
    return max(present, key=lambda ttl: present[ttl][1], default=timedelta())


def _counted() -> ColumnElement[bool]:
    """A host that is offline may have changed since."""
    return and_(hosts.c.state != "offline", hosts.c.forgotten_at.is_(None))


def _statement(ttl: timedelta, now: datetime, present: dict[timedelta, tuple[list[str], int]]) -> Select[Any]:
    """The images that would go, by host. The inner part reads one index alone."""
    image = host_images.c
    own = (image.deadline - image.idle_since).label("own_ttl")
    sums = (
        select(image.host_id, own, func.count().label("images"), total(image.estimated).label("bytes"))
        .where(image.reason.in_(_BY_TTL), image.idle_since <= times.to_ms(now - ttl))
        .group_by(image.host_id, own)
        .subquery("sums")
    )
    from_policy = or_(
        *(
            and_(hosts.c.policy_digest.in_(digests), sums.c.own_ttl == _milliseconds(ttl))
            for ttl, (digests, _) in present.items()
        )
    )
    return (
        select(hosts.c.name, hosts.c.disk_used, hosts.c.disk_total, sums.c.images, sums.c.bytes)
        .join(sums, sums.c.host_id == hosts.c.id)
        .where(_counted(), from_policy)
    )


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


def _milliseconds(value: timedelta) -> int:
    return value // timedelta(milliseconds=1)


def _host(row: Row[Any]) -> documents.WhatIfHost:
    return documents.WhatIfHost(
        host=row.name,
        images=row.images,
        bytes=int(row.bytes),
        disk_used_bytes=row.disk_used,
        disk_total_bytes=row.disk_total,
    )
