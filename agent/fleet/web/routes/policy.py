"""The policies in force, and what another TTL would evict."""

from datetime import timedelta
from typing import Any

from agent.fleet.history.queries import policies as policy_queries
from agent.fleet.history.queries import what_if as what_if_queries
from agent.fleet.history.reading import read
from agent.fleet.web import documents, problems
from agent.fleet.web.parameters import Duration, Sheet
from agent.fleet.web.routing import Asked, Route


class WhatIfQuery(Sheet):
    ttl: Duration


async def policies(asked: Asked[Any]) -> documents.Policies:
    return await read(asked.services.database, policy_queries.in_force)


async def what_if(asked: Asked[WhatIfQuery]) -> documents.WhatIf:
    ttl = asked.query.ttl
    if ttl <= timedelta():
        raise problems.bad_value("ttl", "must be longer than 0")
    incomplete = asked.services.incomplete()
    found = await read(asked.services.database, lambda connection: what_if_queries.what_if(connection, ttl, asked.now))
    return found.model_copy(update={"incomplete_hosts": incomplete})


ROUTES = (
    Route(
        path="/api/policies",
        summary="The policies in force, those of most hosts first",
        answer=documents.Policies,
        handle=policies,
        fresh=5.0,
    ),
    Route(
        path="/api/what-if",
        summary="What another TTL would evict now, from what hosts last reported; nothing is changed",
        answer=documents.WhatIf,
        handle=what_if,
        query=WhatIfQuery,
        rows="hosts",
        fresh=5.0,
    ),
)
