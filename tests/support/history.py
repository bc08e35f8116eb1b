"""The history's database in tests: filled by batches, and read as plain rows."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Table, select

from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import Batch, Committed, Incoming
from agent.fleet.collector.fold import Fold
from agent.fleet.history.database import Database, open_database
from agent.fleet.history.tables import metadata
from tests.support import messages
from tests.support.times import START

TOPICS = Topics("torchkeeper", "+")


class Collector:
    """What the monitor does with messages, without a broker: fold them, commit the batch, settle."""

    def __init__(self, database: Database, fold: Fold) -> None:
        self.database = database
        self.fold = fold

    @classmethod
    async def start(cls, database: Database) -> "Collector":
        """A collector that remembers only what is on disk, as after a restart."""
        writer = database.writer
        return cls(database, Fold(TOPICS, await writer.load_streams(), await writer.load_digests()))

    async def receive(self, *received: Incoming, now: datetime = START) -> Committed:
        batch = self.fold.apply(received, now)
        return await self.commit(batch)

    async def commit(self, batch: Batch) -> Committed:
        committed = await self.database.writer.commit(batch)
        self.fold.settle(committed.streams)
        return committed


def message(
    rest: str, payload: payloads.Payload | bytes, *, host: str = "gpu-07", at: datetime = START, retain: bool = False
) -> Incoming:
    body = payload if isinstance(payload, bytes) else payload.encode()
    return Incoming(messages.topic(rest, host), body, at, retain)


def event(sent: payloads.Event, at: datetime = START) -> Incoming:
    """An event as it arrives, on the topic of the host that it names."""
    return message("events", sent, host=sent.source.partition("/")[2], at=at)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = await open_database(url)
    try:
        yield database
    finally:
        await database.close()


async def rows(database: Database, table: Table, *columns: str) -> list[dict[str, Any]]:
    """All rows of a table in the order of its key, whole or some columns."""
    query = select(table).order_by(*table.primary_key)
    async with database.reader() as connection:
        found = [dict(row._mapping) for row in await connection.execute(query)]
    return [{name: row[name] for name in columns or row} for row in found]


async def contents(database: Database, *without: str) -> Mapping[str, list[dict[str, Any]]]:
    """All rows of all tables but these, for comparing two databases."""
    return {name: await rows(database, table) for name, table in metadata.tables.items() if name not in without}
