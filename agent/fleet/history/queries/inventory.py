"""Rows of the images of hosts as the inventory had them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from agent.core.protocol import payloads, sentence
from agent.fleet.history.queries import values
from agent.fleet.history.tables import host_images


def image(row: Row[Any], now: datetime) -> payloads.InventoryImage:
    """From a row of `host_images` with `images`. It always has its sentence; in an inventory only evictions have."""
    fields = row._mapping  # `class` is no attribute, and both tables have a `size`
    found = payloads.InventoryImage(
        id=row.digest,
        references=values.texts(row.names),
        action=row.action,
        reason=row.reason,
        held_by=row.held_by,
        explanation=row.explanation,
        kind=fields["class"],
        torch_version=row.torch_version,
        accelerator=row.accelerator,
        running=bool(row.running),
        last_used=values.maybe(row.last_used),
        last_used_by=row.last_used_by,
        idle_since=values.maybe(row.idle_since),
        deadline=values.maybe(row.deadline),
        size_bytes=fields[host_images.c.size],
        estimated_bytes=row.estimated,
        warnings=values.texts(row.warnings),
    )
    return found.model_copy(update={"explanation": sentence.why(found, now)})
