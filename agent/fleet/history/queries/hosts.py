"""One host: its images, its agent, its events."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.fleet.history import times
from agent.fleet.history.queries import held, inventory, values
from agent.fleet.history.tables import host_images, hosts, images, missing, policies, streams
from agent.fleet.web import documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What the history has of one host."""

    info: documents.AgentInfo | None
    images: list[documents.HostImage]
    held: list[documents.Held]
    streams: list[documents.Stream]


async def detail(connection: AsyncConnection, host: str, now: datetime) -> Detail:
    return Detail(
        info=await agent(connection, host),
        images=await present_images(connection, host, now),
        held=(await held.by_host(connection, [host]))[host],
        streams=await event_streams(connection, host),
    )


async def agent(connection: AsyncConnection, host: str) -> documents.AgentInfo | None:
    """What the host's agent said of itself; None if it has said nothing."""
    statement = (
        select(hosts, policies.c.document)
        .outerjoin(policies, policies.c.digest == hosts.c.policy_digest)
        .where(hosts.c.name == host)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None or row.version is None:
        return None
    return documents.AgentInfo(
        version=row.version,
        agent_id=row.agent_id,
        mode=row.mode,
        engine=json.loads(row.engine or "{}"),
        policy=json.loads(row.document or "{}"),
        started=values.maybe(row.started),
        state_since=values.maybe(row.state_since),
        first_seen=times.from_ms(row.first_seen),
    )


async def present_images(connection: AsyncConnection, host: str, now: datetime) -> list[documents.HostImage]:
    """The images of its inventory, those that are due first, each with its sentence."""
    other = host_images.alias()
    elsewhere = (
        select(func.count())
        .where(other.c.image_id == host_images.c.image_id, other.c.host_id != host_images.c.host_id)
        .scalar_subquery()
    )
    statement = (
        select(host_images, images, elsewhere.label("elsewhere"))
        .join(images, images.c.id == host_images.c.image_id)
        .join(hosts, hosts.c.id == host_images.c.host_id)
        .where(hosts.c.name == host)
        .order_by(host_images.c.deadline.is_(None), host_images.c.deadline, images.c.digest)
    )
    return [_image(row, now) for row in (await connection.execute(statement)).all()]


async def event_streams(connection: AsyncConnection, host: str) -> list[documents.Stream]:
    """Which events of each life of its state have arrived, the latest life first."""
    statement = (
        select(streams.c.id, streams.c.epoch, streams.c.contiguous, missing.c.lo, missing.c.hi)
        .join(hosts, hosts.c.id == streams.c.host_id)
        .outerjoin(missing, missing.c.stream_id == streams.c.id)
        .where(hosts.c.name == host)
        .order_by(streams.c.last_at.desc(), streams.c.id.desc(), missing.c.lo)
    )
    found: dict[int, documents.Stream] = {}
    for row in (await connection.execute(statement)).all():
        new = documents.Stream(epoch=row.epoch, contiguous=row.contiguous, missing=[])
        stream = found.setdefault(row.id, new)
        if row.lo is not None:
            stream.missing.append((row.lo, row.hi))
    return list(found.values())


def _image(row: Row[Any], now: datetime) -> documents.HostImage:
    return documents.HostImage(elsewhere=row.elsewhere, **dict(inventory.image(row, now)))
