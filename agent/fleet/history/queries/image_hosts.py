"""The hosts that have one image."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.fleet.history.queries import inventory
from agent.fleet.history.tables import host_images, hosts, images
from agent.fleet.web import documents

MOST = 1000  # hosts that are listed; the image's figures count all


async def having(connection: AsyncConnection, image_id: int, now: datetime) -> list[documents.ImageOnHost]:
    """The hosts that have an image, those that used it last first. `image_id`: of the row."""
    last_used = host_images.c.last_used
    statement = (
        select(host_images, images, hosts.c.name)
        .join(images, images.c.id == host_images.c.image_id)
        .join(hosts, hosts.c.id == host_images.c.host_id)
        .where(host_images.c.image_id == image_id)
        .order_by(last_used.is_(None), last_used.desc(), hosts.c.name)
        .limit(MOST)
    )
    return [_document(row, now) for row in (await connection.execute(statement)).all()]


def _document(row: Row[Any], now: datetime) -> documents.ImageOnHost:
    image = inventory.image(row, now)
    return documents.ImageOnHost(
        host=row.name,
        references=image.references,
        action=image.action,
        reason=image.reason,
        held_by=image.held_by,
        explanation=image.explanation,
        last_used=image.last_used,
        last_used_by=image.last_used_by,
        idle_since=image.idle_since,
        deadline=image.deadline,
        estimated_bytes=image.estimated_bytes,
    )
