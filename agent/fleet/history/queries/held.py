"""The images of hosts that cannot go, by what holds them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.core.policy.decision import Action
from agent.fleet.history.queries.sums import total
from agent.fleet.history.tables import host_images, hosts
from agent.fleet.reasons import holding
from agent.fleet.web import documents


async def by_host(connection: AsyncConnection, names: Sequence[str]) -> dict[str, list[documents.Held]]:
    """For each of these hosts what holds its images, most bytes first."""
    found: dict[str, list[documents.Held]] = {name: [] for name in names}
    for row in (await connection.execute(_statement(names))).all():
        found[row.name].append(_document(row))
    for held in found.values():
        held.sort(key=lambda item: (-item.bytes, item.reason))
    return found


def _statement(names: Sequence[str]) -> Select[Any]:
    """Without evictions that happen now: nothing holds those. Of an eviction that is held, what holds it counts."""
    images = host_images.c
    key = func.coalesce(images.held_by, images.reason).label("key")
    return (
        select(hosts.c.name, key, func.count().label("images"), total(images.estimated).label("bytes"))
        .join(hosts, hosts.c.id == images.host_id)
        .where(hosts.c.name.in_(names), (images.action != Action.EVICT) | images.held_by.is_not(None))
        .group_by(hosts.c.name, key)
    )


def _document(row: Row[Any]) -> documents.Held:
    known = holding(row.key)
    return documents.Held(
        reason=row.key, words=known.words, images=row.images, bytes=int(row.bytes), way_out=known.way_out
    )
