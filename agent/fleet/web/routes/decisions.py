"""Decisions."""

from typing import Annotated, Literal

from pydantic import Field

from agent.fleet.history.queries import decisions as queries
from agent.fleet.history.reading import read
from agent.fleet.web import documents
from agent.fleet.web.parameters import Flag, ImageId, Moment, Page, Sheet, Text, resolve
from agent.fleet.web.routing import Asked, Route


class DecisionsQuery(Page, Sheet):
    host: Text | None = None
    image: ImageId | None = None
    reason: Text | None = None
    outcome: Literal["removed", "refused", "failed", "would-remove", "pending"] | None = None
    regret: Annotated[Flag | None, Field(description="whether the image came back within its TTL")] = None
    q: Annotated[Text, Field(description="a part of a name, of the sentence or of the error")] = ""
    since: Moment | None = None
    until: Moment | None = None


async def decisions(asked: Asked[DecisionsQuery]) -> documents.Decisions:
    query = asked.query
    wanted = queries.Filter(
        host=query.host,
        image=query.image,
        reason=query.reason,
        outcome=query.outcome,
        regret=query.regret,
        q=query.q,
        since=resolve(query.since, asked.now),
        until=resolve(query.until, asked.now),
    )
    return await read(
        asked.services.database, lambda connection: queries.page(connection, wanted, query.after, query.limit)
    )


ROUTES = (
    Route(
        path="/api/decisions",
        summary="Decisions to evict with their outcomes, newest first",
        answer=documents.Decisions,
        handle=decisions,
        query=DecisionsQuery,
        rows="decisions",
    ),
)
