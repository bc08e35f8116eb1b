"""A publisher on the fake broker, a clock that a test moves, and a real state file."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest

from agent import config
from agent.adapters import broker, database
from agent.adapters.store import Store
from agent.board import Board
from agent.core import wire
from agent.core.report import NewEvent
from agent.publisher import Publisher
from tests.adapters.fake_broker import FakeBroker
from tests.fake_clock import START, FakeClock
from tests.support.mosquitto import Mosquitto
from tests.support.proc import PATIENCE

TOPICS = wire.Topics("torchkeeper", "gpu-07")
AGENT_ID = "0123abcd-4567-89ab-cdef-0123456789ab"
CLIENT_ID = broker.agent_client_id("gpu-07", AGENT_ID)


def make_info(version: str = "1") -> wire.Info:
    return wire.Info(
        host="gpu-07",
        version=version,
        engine={},
        agent_id=AGENT_ID,
        epoch="e",
        mode="enforce",
        policy={},
        started=START,
        at=START,
    )


def make_inventory(left_out: int = 0) -> wire.Inventory:
    return wire.Inventory(
        host="gpu-07", at=START, disk=wire.Disk(), totals={}, images=[], images_left_out=left_out, decisions=[]
    )


def make_status(state: str = "online", session: int = 1, agent_id: str = "other", at: Any = START) -> bytes:
    return wire.Status.model_validate({"state": state, "session": session, "at": at, "agent_id": agent_id}).encode()


@dataclass
class Rig:
    """A publisher with all it touches."""

    store: Store
    server: FakeBroker = field(default_factory=FakeBroker)
    clock: FakeClock = field(default_factory=FakeClock)
    board: Board = field(default_factory=Board)

    def make(self, agent_id: str = AGENT_ID, **keys: Any) -> Publisher:
        return Publisher(
            connect=self.server.connector(broker.agent_client_id("gpu-07", agent_id)),
            topics=TOPICS,
            board=self.board,
            outbox=self.store,
            clock=self.clock,
            agent_id=agent_id,
            **keys,
        )

    @asynccontextmanager
    async def running(self, tick: float = 0.0, **keys: Any) -> AsyncIterator[None]:
        """A publisher that has been born, stopped at the end."""
        running = asyncio.create_task(self.make(**keys).run())
        try:
            await self.until(lambda: self.online() or running.done(), tick)
            yield
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    async def until(self, true: Callable[[], object], tick: float = 0.0) -> None:
        """Let tasks and the store's thread run until this holds; each look moves the clock by `tick`."""
        async with asyncio.timeout(PATIENCE):
            while not (await found if isawaitable(found := true()) else found):
                await self.clock.advance(tick)
                await asyncio.sleep(0.002)

    async def quiet(self) -> None:
        """Let everything come to rest, the store's thread too."""
        for _ in range(5):
            await self.clock.advance(0)
            await self.store.unsent(0, 1)
        await self.clock.advance(0)

    async def add(self, count: int) -> None:
        for _ in range(count):
            await self.store.log(NewEvent("torchkeeper.test", START, None, {}))

    async def is_empty(self) -> bool:
        return await self.waiting() == []

    async def waiting(self) -> list[int]:
        return [row.seq for row in await self.store.unsent(0, 1000)]

    def online(self) -> bool:
        status = wire.decode(wire.Status, self.server.retained.get(TOPICS.status, b""))
        return status is not None and status.state == "online"

    def statuses(self) -> list[tuple[str, int]]:
        found = (wire.decode(wire.Status, payload) for payload in self.payloads(TOPICS.status))
        return [(status.state, status.session) for status in found if status is not None]

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.server.published if message.topic == topic]

    def sent(self) -> list[int]:
        return [json.loads(payload)["data"]["seq"] for payload in self.payloads(TOPICS.events)]

    def retained(self) -> set[str]:
        return {topic.removeprefix("torchkeeper/v1/hosts/gpu-07/") for topic in self.server.retained}


@asynccontextmanager
async def rigged(folder: Path, **keys: Any) -> AsyncIterator[Rig]:
    """A rig on a state file in this folder."""
    made = Rig(Store(database.open_file(folder, START)[0], **keys))
    yield made
    await made.store.close()


class QuickClock(FakeClock):
    """Waits a thirtieth of the time, so that what is sent again comes soon."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 30)


@asynccontextmanager
async def on_mosquitto(rig: Rig, server: Mosquitto) -> AsyncIterator[None]:
    """A publisher on a real broker, until the block ends."""
    live = Publisher(
        connect=partial(broker.connect, make_options(server, CLIENT_ID)),
        topics=TOPICS,
        board=rig.board,
        outbox=rig.store,
        clock=QuickClock(),
        agent_id=AGENT_ID,
    )
    running = asyncio.create_task(live.run())
    try:
        yield
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def make_options(server: Mosquitto, client_id: str) -> broker.Options:
    return broker.options(config.Mqtt(url=server.url), client_id)


def without_repeats(numbers: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(numbers))
