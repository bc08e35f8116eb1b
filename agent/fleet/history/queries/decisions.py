"""Decisions with their outcomes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.fleet.history import times
from agent.fleet.history.queries import paging, values
from agent.fleet.history.tables import decisions, hosts, images
from agent.fleet.web import documents

PENDING = "pending"  # of the filter: no outcome has arrived


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which decisions; None or "": any. `image`: the digits of an image ID, or its beginning."""

    host: str | None = None
    image: str | None = None
    reason: str | None = None
    outcome: str | None = None
    regret: bool | None = None
    q: str = ""  # a part of a name, of the sentence or of the error
    since: datetime | None = None
    until: datetime | None = None


async def page(connection: AsyncConnection, wanted: Filter, after: str, limit: int) -> documents.Decisions:
    """Newest first. Raises BadCursor."""
    statement = paging.descending(_filtered(wanted), (decisions.c.at, decisions.c.id), after, limit)
    rows, following = paging.cut((await connection.execute(statement)).all(), limit, "at", "id")
    return documents.Decisions(decisions=[_document(row) for row in rows], next=following)


async def arrived_after(connection: AsyncConnection, last: int, limit: int) -> list[documents.Decision]:
    """Those whose row is newer than `last`, in the order of their arrival."""
    statement = _all().where(decisions.c.id > last).order_by(decisions.c.id).limit(limit)
    return [_document(row) for row in (await connection.execute(statement)).all()]


async def by_ids(connection: AsyncConnection, ids: Iterable[int]) -> list[documents.Decision]:
    statement = _all().where(decisions.c.id.in_(list(ids))).order_by(decisions.c.id)
    return [_document(row) for row in (await connection.execute(statement)).all()]


async def newest_id(connection: AsyncConnection) -> int:
    """The row that arrived last; 0 if there is none."""
    statement = select(decisions.c.id).order_by(decisions.c.id.desc()).limit(1)
    return (await connection.execute(statement)).scalar() or 0


def _all() -> Select[Any]:
    host, image = hosts.c.name.label("host"), images.c.digest.label("image_digest")
    return (
        select(decisions, host, image, images.c.origin)
        .join(hosts, hosts.c.id == decisions.c.host_id)
        .join(images, images.c.id == decisions.c.image_id)
    )


def _filtered(wanted: Filter) -> Select[Any]:
    statement = _all()
    if wanted.host is not None:
        statement = statement.where(hosts.c.name == wanted.host)
    if wanted.image is not None:
        statement = statement.where(values.has_id(wanted.image))
    if wanted.reason is not None:
        statement = statement.where(decisions.c.reason == wanted.reason)
    if wanted.outcome is not None:
        outcome = None if wanted.outcome == PENDING else wanted.outcome
        statement = statement.where(decisions.c.outcome.is_not_distinct_from(outcome))
    if wanted.regret is not None:
        regretted = decisions.c.regret_at.is_not(None)
        statement = statement.where(regretted if wanted.regret else ~regretted)
    if wanted.q:
        searched = (decisions.c.names, decisions.c.explanation, decisions.c.error)
        statement = statement.where(or_(*(column.icontains(wanted.q, autoescape=True) for column in searched)))
    if wanted.since is not None:
        statement = statement.where(decisions.c.at >= times.to_ms(wanted.since))
    if wanted.until is not None:
        statement = statement.where(decisions.c.at < times.to_ms(wanted.until))
    return statement


def _document(row: Row[Any]) -> documents.Decision:
    references = values.texts(row.names)
    return documents.Decision(
        id=row.id,
        host=row.host,
        decision_id=row.decision_id,
        at=times.from_ms(row.at),
        image_id=row.image_digest,
        references=references,
        reason=row.reason,
        mode=row.mode,
        held_by=row.held_by,
        explanation=row.explanation,
        estimated_bytes=row.estimated,
        outcome=row.outcome,
        outcome_at=values.maybe(row.outcome_at),
        measured_bytes=row.measured,
        error=row.error,
        also_removed=values.texts(row.also_removed),
        last_used=values.maybe(row.last_used),
        last_used_by=row.last_used_by,
        idle_seconds=row.idle_seconds,
        ttl_seconds=row.ttl_seconds,
        evidence=values.texts(row.evidence),
        pull=values.pull(row.origin, references),
        regret_at=values.maybe(row.regret_at),
    )
