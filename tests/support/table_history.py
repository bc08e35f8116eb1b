"""A history with rows that a test puts in, without the messages that would have made them."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table, event, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from agent.fleet.history import tables, times
from tests.support.builders import GB, make_id
from tests.support.times import START

Connections = Callable[[], AbstractAsyncContextManager[AsyncConnection]]

NOW = times.to_ms(START)


class TableHistory:
    """A database with the tables of the history. `error`: what a read fails with."""

    def __init__(self, reading: Connections, writing: Connections) -> None:
        self._reading = reading
        self._writing = writing
        self.error: Exception | None = None
        self._ids: dict[tuple[str, str], int] = {}

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[AsyncConnection]:
        if self.error is not None:
            raise self.error
        async with self._reading() as connection:
            yield connection

    async def add(self, table: Table, **values: Any) -> int:
        """Insert one row. Returns its ID; 0 if the table has none."""
        async with self._writing() as connection:
            key = (await connection.execute(insert(table).values(_stored(values)))).inserted_primary_key
        return int(key[0]) if key is not None and "id" in table.c else 0

    async def host(self, name: str = "gpu-07", **values: Any) -> int:
        """The ID of a host, which is added if it is not there."""
        return await self._once(tables.hosts, "name", name, {"first_seen": NOW, "state": "online"} | values)

    async def policy(self, digest: str, document: dict[str, Any], **values: Any) -> None:
        """Add a policy if it is not there."""
        await self._once(tables.policies, "digest", digest, {"document": document} | values)

    async def image(self, name: str = "image", **values: Any) -> int:
        return await self._once(tables.images, "digest", make_id(name), {"first_seen": NOW, "size": 9 * GB} | values)

    async def host_image(self, host: str = "gpu-07", image: str = "image", **values: Any) -> None:
        defaults = {
            "names": ["teamai/a:1"],
            "class": "pytorch",
            "action": "keep",
            "reason": "recent",
            "explanation": "",
            "size": 9 * GB,
            "estimated": 5 * GB,
            "row_digest": b"",
        }
        ids = {"host_id": await self.host(host), "image_id": await self.image(image)}
        await self.add(tables.host_images, **ids, **(defaults | values))

    async def decision(
        self, decision_id: str = "d1", host: str = "gpu-07", image: str = "image", at: datetime = START, **values: Any
    ) -> int:
        defaults = {
            "decision_id": decision_id,
            "at": at,
            "names": ["teamai/a:1"],
            "action": "evict",
            "reason": "idle-ttl",
            "mode": "enforce",
            "explanation": "idle 15 d, TTL 14 d",
            "estimated": 5 * GB,
        }
        ids = {"host_id": await self.host(host), "image_id": await self.image(image)}
        return await self.add(tables.decisions, **ids, **(defaults | values))

    async def digest(self) -> str:
        """A digest of all rows of all tables."""
        found = hashlib.sha256()
        async with self._reading() as connection:
            for table in tables.metadata.sorted_tables:
                rows = (await connection.execute(select(table).order_by(*table.primary_key))).all()
                found.update(repr((table.name, rows)).encode())
        return found.hexdigest()

    async def _once(self, table: Table, column: str, name: str, values: dict[str, Any]) -> int:
        if (table.name, name) not in self._ids:
            self._ids[table.name, name] = await self.add(table, **{column: name}, **values)
        return self._ids[table.name, name]


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    """Times as milliseconds, lists and objects as JSON."""
    return {name: _value(value) for name, value in values.items()}


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return times.to_ms(value)
    return json.dumps(value) if isinstance(value, list | dict) else value


@asynccontextmanager
async def table_history(folder: Path) -> AsyncIterator[TableHistory]:
    """An empty history in a file."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/fleet.db")
    event.listen(engine.sync_engine, "connect", _set_up)
    async with engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
    try:
        yield TableHistory(engine.connect, engine.begin)
    finally:
        await engine.dispose()


def _set_up(connection: Any, _record: object) -> None:
    """As strict as the real one, and without waiting for the disk."""
    for pragma in ("foreign_keys = ON", "synchronous = OFF", "journal_mode = MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()
