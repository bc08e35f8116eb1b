"""Deletes old rows in small slices, between two commits, and gives their room back to the file system.

What is added up stays as long as `monitor.retention` says; what only explains recent trouble stays for some weeks. The
rows of streams and of their missing ranges are never deleted: they tell which events have arrived.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, bindparam, delete, exists, select

from agent.fleet.history import times
from agent.fleet.history.database import Database
from agent.fleet.history.tables import (
    alerts,
    build_cache,
    decisions,
    disk_days,
    disk_hours,
    dropped,
    freed_days,
    gaps,
    host_images,
    hosts,
    idle_spells,
    images,
    policies,
    sweeps,
)

DETAILS = timedelta(days=90)  # sweeps, gaps, prunes, dropped events, idle spells
HOURS = timedelta(days=14)  # the disk of each hour; after that its days show it
SLICE = 5000  # rows deleted in one transaction
HOSTS = 500  # whose rows are looked for together: these tables have an index by host, not by time
PAGES = 2000  # of an SQLite file, given back in one go: 8 MB


class Retention:
    """Keeps a database from growing for ever. `keep`: `monitor.retention`."""

    def __init__(self, database: Database, keep: timedelta) -> None:
        self._database = database
        self._keep = keep

    async def run(self, now: datetime) -> int:
        """Delete everything that is too old now. Returns the number of rows. Raises HistoryUnavailable."""
        history, details = now - self._keep, now - min(self._keep, DETAILS)
        deleted = 0
        for table, column, before in (
            (decisions, decisions.c.at, history),
            (freed_days, freed_days.c.day, history),
            (alerts, alerts.c.until, history),
            (idle_spells, idle_spells.c.day, details),
        ):
            deleted += await self._delete(table, column < times.to_ms(before))
        deleted += await self._delete_by_host(history, details, now - min(self._keep, HOURS))
        deleted += await self._delete_unused()
        while deleted and await self._database.vacuum(PAGES):
            pass
        return deleted

    async def _delete_by_host(self, history: datetime, details: datetime, hours: datetime) -> int:
        limits: list[tuple[Table, ColumnElement[bool]]] = [
            (disk_days, disk_days.c.day < times.to_ms(history)),
            (disk_hours, disk_hours.c.hour < times.to_ms(hours)),
            *((table, table.c.at < times.to_ms(details)) for table in (sweeps, gaps, build_cache, dropped)),
        ]
        deleted, last = 0, 0
        while part := await self._select(select(hosts.c.id).where(hosts.c.id > last).order_by(hosts.c.id).limit(HOSTS)):
            last = part[-1]["id"]
            ids = [row["id"] for row in part]
            for table, is_old in limits:
                deleted += await self._delete(table, table.c.host_id.in_(ids), is_old)
        return deleted

    async def _delete_unused(self) -> int:
        """Delete images that no host has and no decision names, and policies that no host has."""
        used = (host_images.c.image_id == images.c.id, decisions.c.image_id == images.c.id)
        deleted = await self._delete(images, still=[~exists().where(condition) for condition in used])
        unused = ~exists().where(hosts.c.policy_digest == policies.c.digest)
        return deleted + await self._delete(policies, still=[unused])

    async def _delete(
        self, table: Table, *conditions: ColumnElement[bool], still: Sequence[ColumnElement[bool]] = ()
    ) -> int:
        """Delete the rows that fulfil the conditions, slice by slice.

        `still`: conditions that must hold when a row is deleted, too, as they may have changed since it was found.
        """
        keys = list(table.primary_key)
        query = select(*keys).where(*conditions, *still).limit(SLICE)
        statement = delete(table).where(*(key == bindparam(f"old_{key.name}") for key in keys), *still)
        deleted = 0
        while found := await self._select(query):
            rows = [{f"old_{name}": value for name, value in row.items()} for row in found]
            async with self._database.transaction() as connection:
                await connection.execute(statement, rows)
            deleted += len(found)
            if len(found) < SLICE:
                break
        return deleted

    async def _select(self, query: Select[Any]) -> Sequence[dict[str, Any]]:
        """Rows as a reader finds them: the search for old rows does not keep the writer waiting."""
        async with self._database.reader() as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]
