"""Folds messages, commits what they mean, and then shows it.

The fold counts events as stored before they are on disk. So after a commit that failed or that nobody waited for, it is
made anew from the database, which alone says what has arrived.

Inventories are shown at once, and stored when there is time; see `InventoryWriter`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import structlog

from agent import aio
from agent.adapters.clock import Clock
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import Batch, Change, Committed, Incoming, InventoryChange, Source, StreamState
from agent.fleet.collector.fold import Fold
from agent.fleet.collector.inventory_writer import InventoryWriter, Show
from agent.fleet.collector.publishing import WatermarkPublisher
from agent.fleet.collector.retry import Retry
from agent.fleet.collector.undecodable import UndecodableAlerts

log = structlog.get_logger()


def _ignore(_seconds: float) -> None:
    pass


class History(Protocol):
    """What the committer needs of the history. Its methods raise HistoryUnavailable."""

    async def commit(self, batch: Batch) -> Committed: ...
    async def load_streams(self) -> dict[Source, StreamState]: ...
    async def load_digests(self) -> dict[str, bytes]: ...


class Committer:
    """Stores messages. While the database does not take them, it waits and tries again, for as long as it takes."""

    def __init__(
        self,
        topics: Topics,
        history: History,
        clock: Clock,
        *,
        watermarks: WatermarkPublisher,
        show: Show,
        took: Callable[[float], None] = _ignore,
    ) -> None:
        """`show` is called with each batch after its commit, `took` with the seconds that the commit took."""
        self._topics = topics
        self._history = history
        self._clock = clock
        self._watermarks = watermarks
        self._show = show
        self._took = took
        self._undecodable = UndecodableAlerts(topics)
        self._fold: Fold | None = None  # None: to be made from the database
        self._turn = asyncio.Lock()
        self.retry = Retry(clock)
        self.inventories = InventoryWriter(
            history, clock, retry=self.retry, turn=self._turn, show=show, discard=self._discard_inventories
        )
        self.last_commit: datetime | None = None

    async def begin(self) -> None:
        """Load what has arrived so far."""
        self._fold = await self.retry.run(self._load)

    async def store(self, messages: Sequence[Incoming]) -> None:
        """Return once these messages are on disk, or cannot be stored in any way; then they may be acknowledged."""
        async with self._turn:
            try:
                await self._store(messages)
            except Exception:
                log.exception("a batch of messages cannot be stored; trying one by one", action="discard")
                for message in messages:
                    await self._store_alone(message)
        while self.inventories.is_full:
            await self.inventories.store()

    async def _store(self, messages: Sequence[Incoming]) -> None:
        fold = self._fold
        if fold is None:
            fold = await self.retry.run(self._load)
        self._fold = None
        batch = fold.apply(messages, self._clock.now())
        await self._commit(batch)
        self._fold = fold
        fold.settle(batch.streams)

    async def _store_alone(self, message: Incoming) -> None:
        """A message that the database rejects whenever it comes must not hold up the whole fleet."""
        try:
            await self._store([message])
        except Exception:
            log.exception("a message cannot be stored; it was discarded", action="discard", topic=message.topic)
            await self._commit(Batch(self._clock.now(), undecodable=[message.topic]))

    async def _commit(self, batch: Batch) -> None:
        batch.changes += self._undecodable.changes(batch.undecodable, batch.at)
        now = replace(batch, changes=[change for change in batch.changes if not _may_wait(change)])

        async def commit() -> None:
            began = self._clock.monotonic()
            committed = await self._history.commit(now)
            self._took(self._clock.monotonic() - began)
            batch.streams.update(committed.streams)
            self._watermarks.update(batch.streams)
            self._show(batch, committed)
            self.inventories.note(batch.changes)

        # If it is cancelled, the database may or may not have the batch, and viewers would never see it.
        await self.retry.run(lambda: aio.uninterrupted(commit()))
        self.last_commit = self._clock.now()

    async def _load(self) -> Fold:
        streams = await self._history.load_streams()
        self._watermarks.load(streams)
        return Fold(self._topics, streams, await self._history.load_digests())

    async def _discard_inventories(self, hosts: Sequence[str]) -> None:
        topics = [self._topics.inventory.replace("/+/", f"/{host}/") for host in hosts]
        await self._commit(Batch(self._clock.now(), undecodable=topics))


def _may_wait(change: Change) -> bool:
    return isinstance(change, InventoryChange) and change.summary is not None
