"""The rows of images: one for each image ID of the fleet, with what is known about it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, case, func, literal_column, select

from agent.core.protocol import payloads
from agent.fleet.history import values
from agent.fleet.history.tables import images
from agent.fleet.history.writing import statements
from agent.fleet.live import bounds


@dataclass(frozen=True, slots=True)
class Facts:
    """What one message says about an image."""

    digest: str
    torch_version: str | None
    accelerator: str | None
    size: int
    origin: str | None = None

    @classmethod
    def of(cls, image: payloads.ImageRef | payloads.InventoryImage) -> "Facts":
        return cls(
            values.key(image.id),
            values.text_or_none(image.torch_version),
            values.text_or_none(image.accelerator),
            bounds.size(image.size_bytes),
            values.text_or_none(image.origin) if isinstance(image, payloads.ImageRef) else None,
        )


def write(connection: Connection, facts: Iterable[Facts], at: int) -> dict[str, int]:
    """The IDs of the rows of these images, by digest. A later fact replaces an earlier one; None replaces nothing."""
    wanted: dict[str, Facts] = {}
    for fact in facts:
        known = wanted.get(fact.digest)
        wanted[fact.digest] = fact if known is None or fact.origin or not known.origin else known
    found = {row.digest: row for row in _rows(connection, wanted)}
    changed = [fact for digest, fact in sorted(wanted.items()) if _is_news(fact, found.get(digest))]
    if changed:
        statements.execute_many(connection, _upsert(connection.dialect.name), [_row(fact, at) for fact in changed])
        found |= {row.digest: row for row in _rows(connection, [fact.digest for fact in changed])}
    return {digest: row.id for digest, row in found.items()}


def _rows(connection: Connection, digests: Iterable[str]) -> Iterable[Any]:
    return statements.rows_where(connection, select(images), images.c.digest, digests)


def _is_news(fact: Facts, row: Any) -> bool:
    if row is None:
        return True
    pairs = (
        (fact.torch_version, row.torch_version),
        (fact.accelerator, row.accelerator),
        (fact.size or None, row.size),
        (fact.origin, row.origin),
    )
    return any(new is not None and new != old for new, old in pairs)


def _row(fact: Facts, at: int) -> Mapping[str, Any]:
    return {
        "digest": fact.digest,
        "torch_version": fact.torch_version,
        "accelerator": fact.accelerator,
        "size": fact.size,
        "origin": fact.origin,
        "first_seen": at,
    }


@cache
def _upsert(dialect: str) -> statements.Insert:
    statement = statements.insert(dialect, images)
    new, old = statement.excluded, images.c
    known = {name: func.coalesce(new[name], old[name]) for name in ("torch_version", "accelerator", "origin")}
    size = case((new.size > literal_column("0"), new.size), else_=old.size)
    return statement.on_conflict_do_update(index_elements=["digest"], set_={**known, "size": size})
