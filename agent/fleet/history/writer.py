"""Writes the history: each batch in one transaction, each event once.

A kill at any moment leaves either all of a batch on disk or nothing of it: rows, streams and missing ranges are in one
transaction. Whether an event is new is decided by the stream on disk, in that transaction. So a batch that is committed
again, after a commit of which nobody learned whether it succeeded, writes no row twice.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection, select

from agent.fleet.collector import streams as numbers
from agent.fleet.collector.batch import (
    AlertChange,
    Batch,
    Committed,
    InventoryChange,
    Source,
    StoredEvent,
    StreamState,
)
from agent.fleet.history import times
from agent.fleet.history.batches import Work
from agent.fleet.history.loading import load_rows
from agent.fleet.history.tables import hosts
from agent.fleet.history.writing import alerts, decisions, events, inventories, streams
from agent.fleet.history.writing import hosts as host_rows
from agent.fleet.live.row import HostRow

P = ParamSpec("P")
T = TypeVar("T")


class Write(Protocol):
    """See `Database.write`."""

    async def __call__(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...


class HistoryWriter:
    """The writer of one database. `write` runs a function on its connection, in one transaction."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._host_ids: dict[str, int] = {}

    async def commit(self, batch: Batch) -> Committed:
        """Write a batch in one transaction. Raises HistoryUnavailable; then the same batch can be committed again."""
        written = await self._write(_write, batch, self._host_ids)
        self._host_ids |= written.host_ids  # not before the rows are on disk
        for host in written.forgotten:
            self._host_ids.pop(host, None)
        return written.committed

    async def end_alerts(self, standing: Collection[tuple[str, str]], now: datetime) -> None:
        """End the alerts that are not among these, by host and ID: they ended while no monitor listened.

        Call it when all retained messages have arrived.
        """
        await self._write(_end_alerts, standing, times.to_ms(now))

    async def load_streams(self) -> dict[Source, StreamState]:
        """Which events are stored."""
        return await self._write(streams.load)

    async def load_digests(self) -> dict[str, bytes]:
        """The digest of each host's stored inventory."""
        return await self._write(_load_digests)

    async def load_rows(self) -> list[HostRow]:
        """All hosts as of the last commit, sorted by name; their state is unknown until a message says more."""
        return await self._write(load_rows)


@dataclass(frozen=True, slots=True)
class _Written:
    """`host_ids`: of the hosts of a batch; `forgotten`: those of them that the next message must look up again."""

    host_ids: Mapping[str, int]
    forgotten: frozenset[str]
    committed: Committed


def _write(connection: Connection, batch: Batch, known: Mapping[str, int]) -> _Written:
    at = times.to_ms(batch.at)
    names = {change.host for change in batch.changes} | {host for host, _ in batch.streams}
    host_ids = host_rows.ids(connection, names, known, at)
    stored = streams.lock(connection, batch.streams, host_ids, at)
    fresh, states = _fresh(batch, stored)
    events.write(connection, fresh)
    decided = decisions.write(connection, fresh, at)
    streams.save(connection, [(stored[source], state) for source, state in states.items()], at)
    found = _write_changes(connection, batch, host_ids, at)
    forgotten = host_rows.forget(connection, batch.changes, host_ids)
    every = {change.id: change for change in (*decided.changed, *found.regretted)}
    regretted = Counter(change.host for change in (*decided.regretted, *found.regretted))
    committed = Committed(tuple(every[row] for row in sorted(every)), dict(regretted), states, tuple(found.unreadable))
    return _Written(host_ids, forgotten, committed)


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


def _write_changes(connection: Connection, batch: Batch, host_ids: Mapping[str, int], at: int) -> inventories.Written:
    """Write what the retained topics say."""
    changes = batch.changes
    host_rows.write(connection, changes, host_ids)
    alerts.write(connection, [change for change in changes if isinstance(change, AlertChange)], host_ids)
    inventoried = [change for change in changes if isinstance(change, InventoryChange)]
    return inventories.write(connection, inventoried, host_ids, at)


def _end_alerts(connection: Connection, standing: Collection[tuple[str, str]], at: int) -> None:
    host_ids = {row.name: row.id for row in connection.execute(select(hosts.c.id, hosts.c.name))}
    alerts.end_others(connection, standing, host_ids, at)


def _load_digests(connection: Connection) -> dict[str, bytes]:
    query = select(hosts.c.name, hosts.c.inventory_digest).where(hosts.c.inventory_digest.is_not(None))
    return {row.name: bytes(row.inventory_digest) for row in connection.execute(query)}
