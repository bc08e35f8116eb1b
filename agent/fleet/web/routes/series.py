"""Columns for charts."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from agent.fleet.history.queries import series as queries
from agent.fleet.history.reading import read
from agent.fleet.web import documents, problems
from agent.fleet.web.parameters import Moment, Query, Text, resolve
from agent.fleet.web.routing import Asked, Route

_SINCE = {"disk": timedelta(days=14), "reclaimed": timedelta(days=30), "idle": timedelta(days=90)}
LONGEST = timedelta(days=3660)


class SeriesQuery(Query):
    kind: Annotated[
        Literal["disk", "reclaimed", "idle"],
        Field(description="disk: of one host; reclaimed: bytes by day; idle: idle times that ended with a use"),
    ]
    host: Text | None = None
    since: Annotated[Moment | None, Field(description="14d for disk, 30d for reclaimed, 90d for idle")] = None


async def series(asked: Asked[SeriesQuery]) -> documents.Series:
    query, now, database = asked.query, asked.now, asked.services.database
    since = resolve(query.since, now) or now - _SINCE[query.kind]
    if since > now or now - since > LONGEST:
        raise problems.bad_value("since", "must lie within the last ten years")
    if query.kind == "reclaimed":
        return await read(database, lambda connection: queries.reclaimed(connection, query.host, since, now))
    if query.kind == "idle":
        return await read(database, lambda connection: queries.idle_times(connection, since))
    host = query.host
    if host is None:
        raise problems.bad_value("host", "is missing; kind=disk is of one host")
    return await read(database, lambda connection: queries.disk(connection, host, since, now))


ROUTES = (
    Route(
        path="/api/series",
        summary="Columns for a chart",
        answer=documents.Series,
        handle=series,
        query=SeriesQuery,
        fresh=30.0,
    ),
)
