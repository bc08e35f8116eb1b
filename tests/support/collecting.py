"""A collector on the fake broker, a clock that a test moves, and a real database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest

from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import Batch, Committed, Source, StreamState
from agent.fleet.collector.committer import Committer
from agent.fleet.collector.ingest import Collector
from agent.fleet.collector.inventory_writer import InventoryWriter
from agent.fleet.collector.publishing import WatermarkPublisher
from agent.fleet.history.database import Database, open_database
from agent.fleet.history.writer import HistoryWriter
from tests.support import messages
from tests.support.fakes.broker import FakeBroker
from tests.support.fakes.clock import FakeClock
from tests.support.proc import PATIENCE

CLIENT_ID = "torchkeeper-collector-main"
STATUS = "torchkeeper/v1/collectors/main/status"


class FaultyHistory:
    """A writer whose commits a test can delay, or let fail before or after the transaction."""

    def __init__(self, writer: HistoryWriter) -> None:
        self._writer = writer
        self.before: Callable[[Batch], None] = lambda _: None  # may raise
        self.after: Callable[[Batch], None] = lambda _: None  # may raise
        self.begun = asyncio.Event()
        self.released = asyncio.Event()  # if cleared, a commit waits before its transaction
        self.released.set()

    async def commit(self, batch: Batch) -> Committed:
        self.begun.set()
        await self.released.wait()
        self.before(batch)
        committed = await self._writer.commit(batch)
        self.after(batch)
        return committed

    async def load_streams(self) -> dict[Source, StreamState]:
        return await self._writer.load_streams()

    async def load_digests(self) -> dict[str, bytes]:
        return await self._writer.load_digests()


@dataclass
class CollectorRig:
    """A collector with all its collaborators; `shown` are the batches that viewers would see."""

    database: Database
    history: FaultyHistory
    server: FakeBroker = field(default_factory=FakeBroker)
    clock: FakeClock = field(default_factory=FakeClock)
    shown: list[tuple[Batch, Committed]] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    is_busy: bool = False  # as if the broker had more all the time

    def __post_init__(self) -> None:
        topics = Topics("torchkeeper", "+")
        self.watermarks = WatermarkPublisher("torchkeeper", "main", self.clock)
        self.committer = Committer(
            topics,
            self.history,
            self.clock,
            watermarks=self.watermarks,
            show=lambda batch, committed: self.shown.append((batch, committed)),
            took=self.took.append,
        )
        self.collector = Collector(
            connect=self.server.collector_connector(CLIENT_ID),
            topics=topics,
            identity="main",
            clock=self.clock,
            committer=self.committer,
            watermarks=self.watermarks,
        )

    @property
    def inventories(self) -> InventoryWriter:
        return self.committer.inventories

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the collector for the block, which begins when it is connected."""
        storing = asyncio.create_task(self.inventories.run(lambda: self.is_busy or self.collector.is_busy))
        task = asyncio.create_task(self.collector.run())
        try:
            await self.until(lambda: self.collector.link.connected or task.done())
            yield
        finally:
            for each in (task, storing):
                each.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await each

    async def until(self, true: Callable[[], object], tick: float = 0.05) -> None:
        """Let tasks and the database's thread run until the condition is true; each check moves the clock."""
        async with asyncio.timeout(PATIENCE):
            while not (await found if isawaitable(found := true()) else found):
                await self.clock.advance(tick)
                await asyncio.sleep(0.002)

    async def pass_time(self, seconds: float, tick: float = 0.5) -> None:
        """Let so much time pass, in steps."""
        for _ in range(round(seconds / tick)):
            await self.clock.advance(tick)
            await asyncio.sleep(0.001)

    def send(self, *events: payloads.Event) -> None:
        """Publish events on the topics of their hosts."""
        for event in events:
            self.send_raw("events", event.encode(), event.source.partition("/")[2])

    def send_raw(self, rest: str, payload: bytes, host: str = "gpu-07", *, retain: bool = False) -> None:
        self.server.route(messages.as_message(rest, payload, host, retain=retain))

    async def streams(self) -> dict[Source, StreamState]:
        return await self.database.writer.load_streams()

    async def stored(self, epoch: str = "e", host: str = "gpu-07") -> int:
        """Up to which number all events of a stream are on disk."""
        return (await self.streams()).get((host, epoch), StreamState()).contiguous

    def unacknowledged(self) -> int:
        return self.server.unacknowledged(CLIENT_ID)

    def watermarks_of(self, host: str = "gpu-07") -> list[int]:
        """The published watermarks of a host, in order."""
        acks = (payloads.decode(payloads.Ack, payload) for payload in self._published(Topics("torchkeeper", host).ack))
        return [ack.seq for ack in acks if ack is not None]

    def statuses(self) -> list[tuple[str, int]]:
        """The states and sessions that the collector published of itself, in order."""
        found = (payloads.decode(payloads.CollectorStatus, payload) for payload in self._published(STATUS))
        return [(status.state, status.session) for status in found if status is not None]

    def _published(self, topic: str) -> Iterable[bytes]:
        return (message.payload for message in self.server.published if message.topic == topic)


@asynccontextmanager
async def collector_rig(folder: Path, **keys: Any) -> AsyncIterator[CollectorRig]:
    """A rig with a database in this folder."""
    database = await open_database(f"sqlite:///{folder / 'fleet.db'}")
    try:
        yield CollectorRig(database, FaultyHistory(database.writer), **keys)
    finally:
        await database.close()
