"""Hosts: the list, and one of them."""

import asyncio
from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import Field

from agent.fleet.history.queries import hosts as queries
from agent.fleet.history.reading import read
from agent.fleet.live.row import HostRow, State
from agent.fleet.web import documents, host_documents, problems
from agent.fleet.web.parameters import Page, Text
from agent.fleet.web.routing import Asked, Route

COMPLETE_WITHIN = 2.0  # seconds that an answer waits until the images of its host are stored


class HostsQuery(Page):
    state: State | None = None
    q: Annotated[Text, Field(description="a part of the host's name")] = ""
    format: Annotated[
        Literal["json", "csv", "columns"], Field(description="columns: all hosts as lists, for the page")
    ] = "json"


async def hosts(asked: Asked[HostsQuery]) -> documents.Hosts:
    """`format=columns` is answered before this, from the snapshot that everybody shares."""
    live, query = asked.services.live, asked.query
    wanted = sorted((row for row in live.rows() if _wanted(row, query)), key=attrgetter("host"))
    shown, alerts = wanted[: query.limit], host_documents.by_host(live.alerts())
    return documents.Hosts(
        at=str(live.position),
        hosts=[host_documents.host(row, alerts.get(row.host, ())) for row in shown],
        totals=host_documents.totals(live.totals()),
        next=shown[-1].host if len(wanted) > len(shown) else None,
    )


async def host(asked: Asked[Any]) -> documents.HostDetail:
    name, live = asked.path["host"], asked.services.live
    row = live.row(name)
    if row is None:
        raise problems.not_found("host", name)
    alerts = host_documents.by_host(live.alerts()).get(name, [])

    incomplete = not await _completed(asked, name)
    found = await read(asked.services.database, lambda connection: queries.detail(connection, name, asked.now))
    return documents.HostDetail(
        host=host_documents.host(row, alerts),
        info=found.info,
        incomplete=incomplete,
        images=found.images,
        alerts=[host_documents.alert(alert) for alert in alerts],
        held=found.held,
        streams=found.streams,
    )


async def _completed(asked: Asked[Any], name: str) -> bool:
    """Whether all images of the host are stored now. A database that takes nothing can still be read."""
    try:
        async with asyncio.timeout(COMPLETE_WITHIN):
            await asked.services.complete(name)
    except TimeoutError:
        return False
    return True


def _wanted(row: HostRow, query: HostsQuery) -> bool:
    named = query.q.lower() in row.host.lower() and row.host > query.after
    return named and query.state in (None, row.state)


ROUTES = (
    Route(
        path="/api/hosts",
        summary="All hosts, by name, with the sums over the fleet",
        answer=documents.Hosts,
        other=documents.HostColumns,
        handle=hosts,
        query=HostsQuery,
        rows="hosts",
    ),
    Route(
        path="/api/hosts/{host}",
        summary="One host: its images, what holds them, its alerts and events",
        answer=documents.HostDetail,
        handle=host,
    ),
)
