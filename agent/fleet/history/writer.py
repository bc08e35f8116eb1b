"""Writes the history: each batch in one transaction, each event once.

A kill at any moment leaves either all of a batch on disk or nothing of it: rows, streams and missing ranges are in one
transaction. Whether an event is new is decided by the stream on disk, in that transaction. So a batch that is committed
again, after a commit of which nobody learned whether it succeeded, writes no row twice.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.fleet.collector import streams as numbers
from agent.fleet.collector.batch import (
    AlertChange,
    Batch,
    Committed,
    DecisionChange,
    InventoryChange,
    Source,
    StoredEvent,
    StreamState,
)
from agent.fleet.history import times
from agent.fleet.history.loading import load_rows
from agent.fleet.history.tables import hosts
from agent.fleet.history.writing import alerts, decisions, events, inventories, streams
from agent.fleet.history.writing import hosts as host_rows
from agent.fleet.live.row import HostRow


class HistoryWriter:
    """The writer of one database. `transaction` lends its connection, and commits at the end of the block."""

    def __init__(self, transaction: Callable[[], AbstractAsyncContextManager[AsyncConnection]]) -> None:
        self._transaction = transaction
        self._host_ids: dict[str, int] = {}

    async def commit(self, batch: Batch) -> Committed:
        """Write a batch in one transaction. Raises HistoryUnavailable; then the same batch can be committed again."""
        async with self._transaction() as connection:
            host_ids, committed = await connection.run_sync(_write, batch, self._host_ids)
        self._host_ids = host_ids  # not before the rows are on disk
        return committed

    async def end_alerts(self, standing: Collection[tuple[str, str]], now: datetime) -> None:
        """End the alerts that are not among these, by host and ID: they ended while no monitor listened.

        Call it when all retained messages have arrived.
        """
        async with self._transaction() as connection:
            await connection.run_sync(_end_alerts, standing, times.to_ms(now))

    async def load_streams(self) -> dict[Source, StreamState]:
        """Which events are stored."""
        async with self._transaction() as connection:
            return await connection.run_sync(streams.load)

    async def load_digests(self) -> dict[str, bytes]:
        """The digest of each host's stored inventory."""
        query = select(hosts.c.name, hosts.c.inventory_digest).where(hosts.c.inventory_digest.is_not(None))
        async with self._transaction() as connection:
            return {row.name: bytes(row.inventory_digest) for row in await connection.execute(query)}

    async def load_rows(self) -> list[HostRow]:
        """All hosts as of the last commit, sorted by name; their state is unknown until a message says more."""
        async with self._transaction() as connection:
            return await connection.run_sync(load_rows)


def _write(connection: Connection, batch: Batch, known: dict[str, int]) -> tuple[dict[str, int], Committed]:
    at = times.to_ms(batch.at)
    names = {change.host for change in batch.changes} | {host for host, _ in batch.streams}
    host_ids = host_rows.ids(connection, names, known, at)
    stored = streams.lock(connection, batch.streams, host_ids, at)
    fresh, states = _fresh(batch, stored)
    events.write(connection, fresh)
    decided = decisions.write(connection, fresh, at)
    streams.save(connection, [(stored[source], state) for source, state in states.items()], at)
    returned = _write_changes(connection, batch, host_ids, at)
    forgotten = host_rows.forget(connection, batch.changes, host_ids)
    every = {change.id: change for change in (*decided.changed, *returned)}
    regretted = Counter(change.host for change in (*decided.regretted, *returned))
    return {name: row for name, row in {**known, **host_ids}.items() if name not in forgotten}, Committed(
        tuple(every[row] for row in sorted(every)), dict(regretted), states
    )


def _fresh(
    batch: Batch, stored: Mapping[Source, streams.Stored]
) -> tuple[list[tuple[streams.Stored, StoredEvent]], dict[Source, StreamState]]:
    """The events that are not on disk, and the streams with them."""
    states = {source: found.state for source, found in stored.items()}
    fresh: list[tuple[streams.Stored, StoredEvent]] = []
    for event in batch.events:
        source = (event.host, event.epoch)
        states[source], taken = numbers.take(states[source], event.seq, numbers.LARGEST)
        if taken == "new":
            fresh.append((stored[source], event))
    for source, gone in batch.gone.items():
        states[source], _ = numbers.take_ranges(states[source], gone, numbers.LARGEST)
    return fresh, states


def _write_changes(connection: Connection, batch: Batch, host_ids: Mapping[str, int], at: int) -> list[DecisionChange]:
    """Write what the retained topics say. Returns the decisions whose images have come back."""
    changes = batch.changes
    host_rows.write(connection, changes, host_ids)
    alerts.write(connection, [change for change in changes if isinstance(change, AlertChange)], host_ids)
    inventoried = [change for change in changes if isinstance(change, InventoryChange)]
    return inventories.write(connection, inventoried, host_ids, at)


def _end_alerts(connection: Connection, standing: Collection[tuple[str, str]], at: int) -> None:
    host_ids = {row.name: row.id for row in connection.execute(select(hosts.c.id, hosts.c.name))}
    alerts.end_others(connection, standing, host_ids, at)
