"""The rows of present images. An inventory says all, and only what differs from the rows is written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from agent.core.protocol import payloads
from agent.fleet.collector.batch import DecisionChange, InventoryChange
from agent.fleet.history import times, values
from agent.fleet.history.tables import host_images, hosts, images
from agent.fleet.history.writing import disks, regrets, statements
from agent.fleet.history.writing import images as image_rows
from agent.fleet.history.writing.spells import Spells
from agent.fleet.live import bounds, build_row

IMAGES_AT_A_TIME = 5000  # rows that are compared together: some megabytes

_TIMES = ("last_used", "idle_since", "deadline")
_COMPARED = ("row_digest", "idle_since")
_GONE = delete(host_images).where(
    host_images.c.host_id == bindparam("host"), host_images.c.image_id == bindparam("image")
)
_COLUMNS = (
    "inventory_digest", "inventory_at", "images", "images_left_out", "disk_used", "disk_total", "images_bytes",
    "reclaimable", "next_eviction",
)  # fmt: skip
_HOST = (
    update(hosts).where(hosts.c.id == bindparam("row")).values({name: bindparam(f"new_{name}") for name in _COLUMNS})
)


@dataclass(frozen=True, slots=True)
class _Latest:
    """The last inventory of one host in a batch, with its images by digest."""

    host_id: int
    at: int
    change: InventoryChange
    images: Mapping[str, payloads.InventoryImage]

    @classmethod
    def of(cls, host_id: int, at: int, change: InventoryChange) -> "_Latest":
        found = change.inventory.images if change.inventory else ()
        return cls(host_id, at, change, {values.key(image.id): image for image in found})


@dataclass(slots=True)
class _Difference:
    """What to write."""

    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # image's digest, row without its ID
    gone: list[dict[str, int]] = field(default_factory=list)
    facts: dict[str, image_rows.Facts] = field(default_factory=dict)  # by digest
    appeared: dict[tuple[int, str], int] = field(default_factory=dict)  # host, image's digest -> when
    spells: Spells = field(default_factory=Spells)


def write(
    connection: Connection, changes: Sequence[InventoryChange], host_ids: Mapping[str, int], at: int
) -> list[DecisionChange]:
    """Write the inventories of a batch. Returns the decisions whose images have come back."""
    timed = [(host_ids[change.host], _time(change), change) for change in changes]
    disks.write(connection, timed)
    latest = {host: (at, change) for host, at, change in timed}
    names = {host_ids[change.host]: change.host for change in changes}
    regretted: list[DecisionChange] = []
    for part in _parts(_Latest.of(host, *latest[host]) for host in sorted(latest)):
        regretted += _write(connection, part, names, at)
    return regretted


def _time(change: InventoryChange) -> int:
    """When it was made; no clock of a host puts that after its arrival."""
    arrived = times.to_ms(change.at)
    return min(times.to_ms(change.inventory.at), arrived) if change.inventory else arrived


def _parts(inventories: Iterable[_Latest]) -> Iterator[list[_Latest]]:
    part: list[_Latest] = []
    count = 0
    for inventory in inventories:
        part.append(inventory)
        count += len(inventory.images)
        if count >= IMAGES_AT_A_TIME:
            yield part
            part, count = [], 0
    if part:
        yield part


def _write(connection: Connection, part: Sequence[_Latest], names: Mapping[int, str], at: int) -> list[DecisionChange]:
    stored = _stored(connection, [inventory.host_id for inventory in part])
    difference = _Difference()
    for inventory in part:
        _compare(difference, inventory, stored.get(inventory.host_id, {}))
    ids = image_rows.write(connection, difference.facts.values(), at)
    statements.execute_many(connection, _GONE, difference.gone)
    rows = [{**row, "image_id": ids[digest]} for digest, row in difference.rows]
    statements.upsert(connection, host_images, rows)
    statements.execute_many(connection, _HOST, [_host(inventory) for inventory in part])
    difference.spells.write(connection)
    appeared = {(host, ids[digest]): when for (host, digest), when in difference.appeared.items()}
    return regrets.mark(connection, appeared, names)


def _stored(connection: Connection, host_ids: Iterable[int]) -> dict[int, dict[str, dict[str, Any]]]:
    """The rows of these hosts' images, as far as they are compared, by host and digest."""
    columns = [host_images.c[name] for name in ("host_id", "image_id", *_COMPARED)]
    query = select(*columns, images.c.digest).join(images, images.c.id == host_images.c.image_id)
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for part in statements.chunks(host_ids):
        for row in connection.execute(query.where(host_images.c.host_id.in_(part))):
            found.setdefault(row.host_id, {})[row.digest] = dict(row._mapping)
    return found


def _compare(difference: _Difference, inventory: _Latest, stored: Mapping[str, dict[str, Any]]) -> None:
    host = inventory.host_id
    for digest, image in inventory.images.items():
        content, before = _content(image), stored.get(digest)
        if before is not None and before["row_digest"] == content:
            continue
        row = _row(host, image, content)
        difference.rows.append((digest, row))
        if digest not in difference.facts:
            difference.facts[digest] = image_rows.Facts.of(image)
        if before is None:
            difference.appeared[host, digest] = inventory.at
        else:
            difference.spells.note(before, row, image.references[0] if image.references else "")
    gone = [row for digest, row in stored.items() if digest not in inventory.images]
    difference.gone += [{"host": host, "image": row["image_id"]} for row in gone]


def _content(image: payloads.InventoryImage) -> bytes:
    """A digest of all that the inventory says about an image."""
    said = image.__dict__ | {name: _seconds(getattr(image, name)) for name in _TIMES}
    return blake2b(repr(said).encode(errors="replace"), digest_size=8).digest()


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _row(host: int, image: payloads.InventoryImage, content: bytes) -> dict[str, Any]:
    return {
        "host_id": host,
        "names": values.array(image.references),
        "class": values.text(image.kind),
        "action": values.text(image.action),
        "reason": values.key(image.reason),
        "held_by": values.text_or_none(image.held_by),
        "explanation": values.text(image.explanation),
        "running": int(image.running),
        "last_used": times.to_ms_or_none(image.last_used),
        "last_used_by": values.text(image.last_used_by),
        "idle_since": times.to_ms_or_none(image.idle_since),
        "deadline": times.to_ms_or_none(image.deadline),
        "size": bounds.size(image.size_bytes),
        "estimated": bounds.size(image.estimated_bytes),
        "warnings": values.array(image.warnings),
        "row_digest": content,
    }


def _host(inventory: _Latest) -> dict[str, Any]:
    found = inventory.change.inventory
    if found is None:
        return {"row": inventory.host_id} | {f"new_{name}": None for name in _COLUMNS}
    return {
        "row": inventory.host_id,
        "new_inventory_digest": inventory.change.digest,
        "new_inventory_at": inventory.at,
        "new_images": bounds.count(len(found.images) + found.images_left_out),
        "new_images_left_out": bounds.count(found.images_left_out),
        "new_disk_used": bounds.size_or_none(found.disk.used_bytes),
        "new_disk_total": bounds.size_or_none(found.disk.total_bytes),
        "new_images_bytes": bounds.size(found.disk.images_bytes),
        "new_reclaimable": bounds.size(found.disk.reclaimable_bytes),
        "new_next_eviction": build_row.next_eviction(found.images),
    }
