"""Images across the fleet, by their ID."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, Select, Subquery, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.core.policy.decision import Reason
from agent.fleet.history import times
from agent.fleet.history.queries import decisions, image_hosts, paging, values
from agent.fleet.history.queries.sums import total
from agent.fleet.history.tables import decisions as decided
from agent.fleet.history.tables import host_images, images
from agent.fleet.web import documents

REGRETS = timedelta(days=90)  # of the figure `regrets_90d`
LAST_DECISIONS = 100  # of one image that are listed

Sort = Literal["bytes", "hosts", "size", "used"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """`q`: a part of a name or of the ID. `every`: with images that are PyTorch on no host."""

    q: str = ""
    every: bool = False
    sort: Sort = "bytes"


async def page(connection: AsyncConnection, wanted: Filter, after: str, limit: int, now: datetime) -> documents.Images:
    """The images that hosts have, the largest by `sort` first. Raises BadCursor."""
    totals = _totals(*_conditions(wanted))
    key = _keys(totals)[wanted.sort].label("key")
    statement = select(images, *totals.c, key).join(totals, totals.c.image_id == images.c.id)
    statement = paging.descending(statement, (key, images.c.id), after, limit)
    rows, following = paging.cut((await connection.execute(statement)).all(), limit, "key", "id")
    names = await _names(connection, rows)
    regrets = await _regrets(connection, rows, now)
    shown = [_summary(row, names.get(row.id, []), regrets.get(row.id, 0)) for row in rows]
    return documents.Images(images=shown, next=following)


async def detail(connection: AsyncConnection, digits: str, now: datetime) -> documents.ImageDetail | None:
    """One image; None if no host has or had it. `digits`: of its ID. Of several that begin so, the first is taken."""
    row = (await connection.execute(_one(digits))).one_or_none()
    if row is None:
        return None
    hosts = await image_hosts.having(connection, row.id, now)
    wanted = decisions.Filter(image=row.digest.removeprefix("sha256:"))
    history = (await decisions.page(connection, wanted, "", LAST_DECISIONS)).decisions
    listed = [*(host.references for host in hosts), *(decision.references for decision in history)]
    names = list(dict.fromkeys(name for references in listed for name in references))
    regrets = await _regrets(connection, [row], now)
    return documents.ImageDetail(
        image=_summary(row, names, regrets.get(row.id, 0)),
        pull=values.pull(row.origin, names),
        hosts=hosts,
        decisions=history,
    )


def _totals(*conditions: ColumnElement[bool]) -> Subquery:
    """One row for each image that a host has. One index has all these columns."""
    present = host_images.c
    return (
        select(
            present.image_id,
            func.count().label("hosts"),
            func.sum(case((present.reason == Reason.IN_USE, 1), else_=0)).label("in_use"),
            func.sum(case((present.reason == Reason.LOCAL_ONLY, 1), else_=0)).label("local_only"),
            func.max(present.last_used).label("last_used"),
            total(present.estimated).label("estimated"),
        )
        .where(*conditions)
        .group_by(present.image_id)
        .subquery("totals")
    )


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if not wanted.every:
        found.append(host_images.c.reason != Reason.NOT_PYTORCH)
    if wanted.q:
        named = select(host_images.c.image_id).where(host_images.c.names.icontains(wanted.q, autoescape=True))
        by_id = select(images.c.id).where(images.c.digest.icontains(wanted.q, autoescape=True))
        found.append(host_images.c.image_id.in_(named.union(by_id)))
    return found


def _keys(totals: Subquery) -> dict[Sort, ColumnElement[int]]:
    return {
        "bytes": totals.c.estimated,
        "hosts": totals.c.hosts,
        "size": images.c.size,
        "used": func.coalesce(totals.c.last_used, 0),
    }


def _one(digits: str) -> Select[Any]:
    """An image with its totals, which are null if no host has it any more."""
    found = select(images.c.id).where(values.has_id(digits)).order_by(images.c.digest).limit(1).scalar_subquery()
    totals = _totals(host_images.c.image_id == found)
    joined = images.outerjoin(totals, totals.c.image_id == images.c.id)
    return select(images, *totals.c).select_from(joined).where(images.c.id == found)


async def _names(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> dict[int, list[str]]:
    """The names of each image on one of its hosts: those on all would be as many rows as the fleet has."""
    one = host_images.alias()
    named = (
        select(one.c.names)
        .where(one.c.image_id == images.c.id, one.c.names != "[]")
        .limit(1)
        .correlate(images)
        .scalar_subquery()
    )
    statement = select(images.c.id, named.label("names")).where(images.c.id.in_([row.id for row in rows]))
    return {row.id: values.texts(row.names) for row in (await connection.execute(statement)).all() if row.names}


async def _regrets(connection: AsyncConnection, rows: Sequence[Row[Any]], now: datetime) -> dict[int, int]:
    statement = (
        select(decided.c.image_id, func.count().label("regrets"))
        .where(
            decided.c.image_id.in_([row.id for row in rows]),
            decided.c.at >= times.to_ms(now - REGRETS),
            decided.c.regret_at.is_not(None),
        )
        .group_by(decided.c.image_id)
    )
    return {row.image_id: row.regrets for row in (await connection.execute(statement)).all()}


def _summary(row: Row[Any], names: list[str], regrets: int) -> documents.ImageSummary:
    return documents.ImageSummary(
        id=row.digest,
        references=names,
        torch_version=row.torch_version,
        accelerator=row.accelerator,
        size_bytes=row.size,
        hosts=row.hosts or 0,
        in_use=row.in_use or 0,
        last_used=values.maybe(row.last_used),
        estimated_bytes=int(row.estimated or 0),
        local_only=row.local_only or 0,
        regrets_90d=regrets,
    )
