"""The policies in force, and how many hosts run each."""

import json

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.fleet.history.tables import hosts, policies
from agent.fleet.web import documents


async def in_force(connection: AsyncConnection) -> documents.Policies:
    """Most hosts first."""
    number = func.count().label("hosts")
    statement = (
        select(policies, number, func.min(hosts.c.name).label("example"))
        .join(hosts, hosts.c.policy_digest == policies.c.digest)
        .where(hosts.c.forgotten_at.is_(None))
        .group_by(policies.c.digest, policies.c.document)
        .order_by(number.desc(), policies.c.digest)
    )
    return documents.Policies(
        policies=[
            documents.PolicyInForce(
                digest=row.digest, policy=json.loads(row.document), hosts=row.hosts, example=row.example
            )
            for row in (await connection.execute(statement)).all()
        ]
    )
