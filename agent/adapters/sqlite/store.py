"""The state, asked from the event loop and answered in a thread of its own.

A commit waits for the disk; the event loop, and with it the reader of the engine's stream, must not.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from agent.adapters.outbox import OutboxRow, Watermark
from agent.adapters.sqlite import database, event_log
from agent.adapters.sqlite.usage_tables import UsageTables
from agent.core.protocol.new_events import NewEvent

T = TypeVar("T")


class Store:
    """One state file. Satisfies `outbox.Outbox`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: Path | None = None,
        *,
        bound: int = event_log.MAX_WAITING_BYTES,
        copied: str = "",
    ) -> None:
        """`bound`: bytes of events that may wait for the collector. `copied`: what `identity.settle` found."""
        self._tables = UsageTables(connection, bound)
        self._folder = folder  # None: a copy in memory
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self.appended = asyncio.Event()
        self.epoch = self._tables.epoch  # tells this state file from one made anew
        self.agent_id = self._tables.agent_id  # tells two agents of one name apart
        self.copied = copied  # "" unless this state was another machine's until now

    @property
    def host(self) -> str:
        """The name that events bear: the one used last, until it is set."""
        return self._tables.host

    async def name_host(self, host: str) -> None:
        """Use a host name from now on, and remember it for when the engine cannot be asked."""
        await self.run(lambda tables: tables.name_host(host))

    async def run(self, work: Callable[[UsageTables], T]) -> T:
        """Do one piece of work. On a full disk the reserve is released and the work done once more.

        Raises StateFull, StateDamaged, StateError.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    def _guarded(self, work: Callable[[UsageTables], T]) -> T:
        try:
            return self._once(work)
        except database.StateFull:
            if self._folder is None or not database.release_reserve(self._folder):
                raise
        return self._once(work)

    def _once(self, work: Callable[[UsageTables], T]) -> T:
        try:
            return work(self._tables)
        except sqlite3.OperationalError as error:
            if database.is_full(error):
                raise database.StateFull(f"the disk under {self._folder} is full") from error
            raise database.StateError(f"the state in {self._folder} cannot be used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise database.StateDamaged(f"the state in {self._folder} is damaged: {error}") from error

    async def log(self, event: NewEvent) -> None:
        """Append one event, and wake the publisher."""
        await self.run(lambda tables: tables.append(event))
        self.appended.set()

    async def unsent(self, after: int, limit: int) -> list[OutboxRow]:
        return await self.run(lambda tables: tables.unsent(after, limit))

    async def retire(self, up_to: int, deferred: Iterable[int] = ()) -> None:
        but = tuple(deferred)
        await self.run(lambda tables: tables.retire(up_to, but))

    async def watermark(self) -> int | None:
        return await self.run(lambda tables: tables.watermark())

    async def acknowledge(self, epoch: str, seq: int, now: datetime) -> Watermark | None:
        found = await self.run(lambda tables: tables.acknowledge(epoch, seq, now))
        self.appended.set()
        return found

    async def set_aside(self, seq: int, error: str, now: datetime) -> None:
        await self.run(lambda tables: tables.quarantine(seq, error, now))
        self.appended.set()

    async def name_missing(self, now: datetime) -> None:
        await self.run(lambda tables: tables.declare_missing(now))
        self.appended.set()

    async def nearly_full(self) -> bool:
        return await self.run(lambda tables: tables.nearly_full())

    async def prune(self, before: datetime, now: datetime, *, quietly: bool) -> None:
        """Drop history older than a time. Events that still wait are given up, and named unless `quietly`."""
        await self.run(lambda tables: tables.forget(before, now, quietly=quietly))
        self.appended.set()

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._tables.close)
        self._thread.shutdown(wait=True)
