"""The rows of present images. An inventory says all, and only what differs from the rows is written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from agent.core.protocol import payloads
from agent.fleet.collector.batch import DecisionChange, InventoryChange
from agent.fleet.history import times, values
from agent.fleet.history.tables import host_images, hosts, images
from agent.fleet.history.writing import disks, image_row, regrets, statements
from agent.fleet.history.writing import images as image_rows
from agent.fleet.history.writing.spells import Spells
from agent.fleet.live import bounds
from agent.fleet.live.summary import NO_INVENTORY

IMAGES_AT_A_TIME = 5000  # rows that are compared together: some megabytes

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
    images_bytes: int | None
    images: Mapping[str, payloads.InventoryImage]

    @classmethod
    def of(cls, host_id: int, at: int, change: InventoryChange) -> "_Latest | None":
        """None: its images cannot be read."""
        if change.summary is None:
            return cls(host_id, at, change, None, {})
        found = payloads.decode(payloads.Inventory, change.text)
        if found is None:
            return None
        by_digest = {values.key(image.id): image for image in found.images}
        return cls(host_id, at, change, bounds.size(found.disk.images_bytes), by_digest)


@dataclass(slots=True)
class _Difference:
    """What to write."""

    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # image's digest, row without its ID
    gone: list[dict[str, int]] = field(default_factory=list)
    facts: dict[str, image_rows.Facts] = field(default_factory=dict)  # by digest
    appeared: dict[tuple[int, str], int] = field(default_factory=dict)  # host, image's digest -> when
    spells: Spells = field(default_factory=Spells)


@dataclass(slots=True)
class Written:
    """The decisions whose images have come back, and the hosts whose inventories cannot be read."""

    regretted: list[DecisionChange] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def write(connection: Connection, changes: Sequence[InventoryChange], host_ids: Mapping[str, int], at: int) -> Written:
    """Write the inventories of a batch. Of one that cannot be read nothing is written, as if it had not come."""
    timed = [(host_ids[change.host], _time(change), change) for change in changes]
    latest = {host: (at, change) for host, at, change in timed}
    names = {host_ids[change.host]: change.host for change in changes}
    written = Written()
    disks.write(connection, timed)
    for part in _parts(latest, written.unreadable):
        written.regretted += _write(connection, part, names, at)
    return written


def _time(change: InventoryChange) -> int:
    """When it was made; no clock of a host puts that after its arrival."""
    arrived = times.to_ms(change.at)
    made = change.summary.at if change.summary else None
    return arrived if made is None else min(times.to_ms(made), arrived)


def _parts(latest: Mapping[int, tuple[int, InventoryChange]], unreadable: list[str]) -> Iterator[list[_Latest]]:
    part: list[_Latest] = []
    count = 0
    for host in sorted(latest):
        inventory = _Latest.of(host, *latest[host])
        if inventory is None:
            unreadable.append(latest[host][1].host)
            continue
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
    for digest, row in difference.rows:
        row["image_id"] = ids[digest]
    statements.upsert(connection, host_images, [row for _, row in difference.rows])
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
        row, before = image_row.of(image), stored.get(digest)
        if before is not None and before["row_digest"] == row["row_digest"]:
            continue
        row["host_id"] = host
        difference.rows.append((digest, row))
        if digest not in difference.facts:
            difference.facts[digest] = image_rows.Facts.of(image)
        if before is None:
            difference.appeared[host, digest] = inventory.at
        else:
            difference.spells.note(before, row, image.references[0] if image.references else "")
    gone = [row for digest, row in stored.items() if digest not in inventory.images]
    difference.gone += [{"host": host, "image": row["image_id"]} for row in gone]


def _host(inventory: _Latest) -> dict[str, Any]:
    found = inventory.change.summary
    summary = found or NO_INVENTORY
    return {
        "row": inventory.host_id,
        "new_inventory_digest": inventory.change.digest if found else None,
        "new_inventory_at": inventory.at if found else None,
        "new_images": summary.images,
        "new_images_left_out": summary.images_left_out if found else None,
        "new_disk_used": summary.disk_used_bytes,
        "new_disk_total": summary.disk_total_bytes,
        "new_images_bytes": inventory.images_bytes,
        "new_reclaimable": summary.reclaimable_bytes,
        "new_next_eviction": summary.next_eviction,
    }
