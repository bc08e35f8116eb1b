"""The figures above the list of hosts that only the history has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.fleet.history.queries import decisions, freed, held
from agent.fleet.history.queries.sums import total
from agent.fleet.history.tables import dropped, missing
from agent.fleet.web import documents

RECLAIMED = timedelta(days=30)  # of the figure
LAST_DECISIONS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`held`: for each host that was asked for, what holds its images."""

    reclaimed: documents.Reclaimed
    decisions: list[documents.Decision]
    held: dict[str, list[documents.Held]]
    missing_events: int
    dropped_events: int


async def figures(connection: AsyncConnection, blocked: Sequence[str], now: datetime) -> Figures:
    """`blocked`: the hosts that are full while nothing may be evicted."""
    return Figures(
        reclaimed=await freed.in_time(connection, now - RECLAIMED + timedelta(days=1)),
        decisions=(await decisions.page(connection, decisions.Filter(), "", LAST_DECISIONS)).decisions,
        held=await held.by_host(connection, blocked) if blocked else {},
        missing_events=await _sum(connection, missing.c.hi - missing.c.lo + 1),
        dropped_events=await _sum(connection, dropped.c["count"]),
    )


async def _sum(connection: AsyncConnection, column: ColumnElement[int]) -> int:
    return int((await connection.execute(select(total(column)))).scalar_one())
