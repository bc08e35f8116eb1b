"""Hosts: the list."""

from operator import attrgetter
from typing import Annotated, Literal

from pydantic import Field

from agent.fleet.live.row import COLUMNS, HostRow, State
from agent.fleet.web import documents, host_documents
from agent.fleet.web.parameters import Page, Text
from agent.fleet.web.routing import Asked, Route

_values = attrgetter(*COLUMNS)


class HostsQuery(Page):
    state: State | None = None
    q: Annotated[Text, Field(description="a part of the host's name")] = ""
    format: Annotated[
        Literal["json", "csv", "columns"], Field(description="columns: all hosts as lists, for the page")
    ] = "json"


async def hosts(asked: Asked[HostsQuery]) -> documents.Hosts | documents.HostColumns:
    live, query = asked.services.live, asked.query
    if query.format == "columns":
        return columns(live.position, sorted(live.rows(), key=attrgetter("host")))
    wanted = sorted((row for row in live.rows() if _wanted(row, query)), key=attrgetter("host"))
    shown, standing = wanted[: query.limit], live.alerts()
    alerts = host_documents.by_host(standing)
    return documents.Hosts(
        at=live.position,
        hosts=[host_documents.host(row, alerts.get(row.host, ())) for row in shown],
        totals=host_documents.totals(live.rows(), standing),
        next=shown[-1].host if len(wanted) > len(shown) else None,
    )


def columns(position: str, rows: list[HostRow]) -> documents.HostColumns:
    return documents.HostColumns(at=position, columns=list(COLUMNS), hosts=[list(_values(row)) for row in rows])


def _wanted(row: HostRow, query: HostsQuery) -> bool:
    named = query.q.lower() in row.host.lower() and row.host > query.after
    return named and query.state in (None, row.state)


ROUTES = (
    Route(
        path="/api/hosts",
        summary="All hosts, by name, with the sums over the fleet",
        answer=documents.Hosts,
        handle=hosts,
        query=HostsQuery,
        rows="hosts",
    ),
)
