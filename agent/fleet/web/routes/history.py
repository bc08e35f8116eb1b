"""Alerts and events, in time."""

from typing import Annotated

from pydantic import Field

from agent.fleet.history.queries import alerts as alert_queries
from agent.fleet.history.queries import events as event_queries
from agent.fleet.history.reading import read
from agent.fleet.web import documents
from agent.fleet.web.parameters import Flag, Moment, Page, Sheet, Text, resolve
from agent.fleet.web.routing import Asked, Route


class AlertsQuery(Page, Sheet):
    host: Text | None = None
    standing: Annotated[Flag | None, Field(description="true: that stand now; false: that ended")] = None
    since: Annotated[Moment | None, Field(description="that stood then or later")] = None


class EventsQuery(Page, Sheet):
    kind: event_queries.Kind | None = None
    host: Text | None = None
    since: Moment | None = None
    until: Moment | None = None


async def alerts(asked: Asked[AlertsQuery]) -> documents.Alerts:
    query, since = asked.query, resolve(asked.query.since, asked.now)
    return await read(
        asked.services.database,
        lambda connection: alert_queries.page(
            connection, query.after, query.limit, host=query.host, standing=query.standing, since=since
        ),
    )


async def events(asked: Asked[EventsQuery]) -> documents.HistoryEvents:
    query = asked.query
    wanted = event_queries.Filter(
        kind=query.kind,
        host=query.host,
        since=resolve(query.since, asked.now),
        until=resolve(query.until, asked.now),
    )
    return await read(
        asked.services.database,
        lambda connection: event_queries.page(connection, wanted, query.after, query.limit),
    )


ROUTES = (
    Route(
        path="/api/alerts",
        summary="Alerts of all hosts, those that began last first",
        answer=documents.Alerts,
        handle=alerts,
        query=AlertsQuery,
        rows="alerts",
    ),
    Route(
        path="/api/events",
        summary="Gaps, dropped ranges, sweeps and prunes of build cache, newest first",
        answer=documents.HistoryEvents,
        handle=events,
        query=EventsQuery,
        rows="events",
    ),
)
