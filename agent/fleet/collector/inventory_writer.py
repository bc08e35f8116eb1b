"""Stores the images of inventories when there is time: with ten thousand hosts that takes longer than all the rest.

Decisions and other events are on disk before they are acknowledged. Inventories may wait, as the broker retains them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from agent import aio
from agent.adapters.clock import Clock
from agent.fleet.collector.batch import Batch, Committed, InventoryChange
from agent.fleet.collector.inventory_backlog import InventoryBacklog
from agent.fleet.collector.retry import Retry

LONGEST_WAIT = 30.0  # seconds, after which an inventory is stored even if there is no time
LOOK_EVERY = 0.05  # seconds

Show = Callable[[Batch, Committed], None]

log = structlog.get_logger()


class Committing(Protocol):
    async def commit(self, batch: Batch) -> Committed:
        """Raises HistoryUnavailable."""
        ...


class InventoryWriter:
    """`turn` is held by whoever commits: an inventory that waits must not be stored after what came later."""

    def __init__(
        self,
        history: Committing,
        clock: Clock,
        *,
        retry: Retry,
        turn: asyncio.Lock,
        show: Show,
        discard: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        """`show` is called after each commit; `discard` with hosts whose inventories cannot be stored."""
        self._history = history
        self._clock = clock
        self._retry = retry
        self._turn = turn
        self._show = show
        self._discard = discard
        self._backlog = InventoryBacklog()
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Of how many hosts the images are not those that viewers should see."""
        return len(self._backlog)

    @property
    def is_full(self) -> bool:
        return self._backlog.is_full

    def note(self, changes: Sequence[object]) -> None:
        """These changes were committed, without their inventories, which are to be stored from now on."""
        for change in changes:
            if isinstance(change, InventoryChange):
                self._note_inventory(change)

    async def run(self, is_busy: Callable[[], bool]) -> None:
        """Store what waits, endlessly. While `is_busy`, what comes from the broker is more urgent."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._backlog:
                if not is_busy() or self._backlog.longest_wait(self._clock.monotonic()) >= LONGEST_WAIT:
                    await self.store()
                else:
                    await self._clock.sleep(LOOK_EVERY)

    async def store(self) -> None:
        """Store those that have waited for the longest time."""
        async with self._turn:
            await self._store(self._backlog.first())

    async def store_of(self, host: str) -> None:
        """Store that of one host, if it waits."""
        if host in self._backlog:
            async with self._turn:
                await self._store(self._backlog.of(host))

    def _note_inventory(self, change: InventoryChange) -> None:
        if change.summary is None:
            self._backlog.remove(change.host)
        else:
            self._backlog.put(change, self._clock.monotonic())
            self._arrived.set()

    async def _store(self, changes: Sequence[InventoryChange]) -> None:
        if not changes:
            return
        try:
            await self._commit(changes)
        except Exception:
            log.exception("inventories cannot be stored; trying one by one", action="discard")
            for change in changes:
                await self._store_alone(change)

    async def _store_alone(self, change: InventoryChange) -> None:
        """An inventory that the database rejects whenever it comes must not hold up those of the whole fleet."""
        try:
            await self._commit([change])
        except Exception:
            log.exception("an inventory cannot be stored; it was discarded", action="discard", host=change.host)
            self._backlog.remove(change.host)
            await self._discard([change.host])

    async def _commit(self, changes: Sequence[InventoryChange]) -> None:
        at = self._clock.now()

        async def commit() -> Committed:
            committed = await self._history.commit(Batch(at, list(changes)))
            self._backlog.remove(*(change.host for change in changes))
            self._show(Batch(at), committed)
            return committed

        # If it is cancelled, the database may or may not have them, and viewers would never see what they brought back.
        committed = await self._retry.run(lambda: aio.uninterrupted(commit()))
        if committed.unreadable:
            await self._discard(committed.unreadable)
