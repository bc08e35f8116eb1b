"""A publisher on the fake broker, a clock that a test moves, and a real state file."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Message
from agent.adapters.sqlite import database
from agent.adapters.sqlite.store import Store
from agent.config import sections
from agent.core.protocol import payloads
from agent.core.protocol.new_events import NewEvent
from agent.core.protocol.topics import PROBE, Topics
from agent.daemon import build
from agent.reporting import publisher
from agent.reporting.host_report import HostReport
from tests.support.fakes.broker import FakeBroker
from tests.support.fakes.clock import START, FakeClock
from tests.support.mosquitto import Mosquitto
from tests.support.proc import PATIENCE

TOPICS = Topics("torchkeeper", "gpu-07")
AGENT_ID = "0123abcd-4567-89ab-cdef-0123456789ab"
CLIENT_ID = broker.agent_client_id("gpu-07", AGENT_ID)


def make_info(version: str = "1") -> payloads.Info:
    return payloads.Info(
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


def make_inventory(left_out: int = 0) -> payloads.Inventory:
    return payloads.Inventory(
        host="gpu-07", at=START, disk=payloads.Disk(), totals={}, images=[], images_left_out=left_out, decisions=[]
    )


def make_status(state: str = "online", session: int = 1, agent_id: str = "other", at: Any = START) -> bytes:
    return payloads.Status.model_validate({"state": state, "session": session, "at": at, "agent_id": agent_id}).encode()


@dataclass
class PublisherRig:
    """A publisher with all its collaborators."""

    store: Store
    server: FakeBroker = field(default_factory=FakeBroker)
    clock: FakeClock = field(default_factory=FakeClock)
    host_report: HostReport = field(default_factory=HostReport)

    def make(self, agent_id: str = AGENT_ID, **keys: Any) -> publisher.Publisher:
        return build.make_publisher(
            connect=self.server.connector(broker.agent_client_id("gpu-07", agent_id)),
            topics=TOPICS,
            host_report=self.host_report,
            outbox=self.store,
            clock=self.clock,
            agent_id=agent_id,
            **keys,
        )

    @asynccontextmanager
    async def running(self, tick: float = 0.0, **keys: Any) -> AsyncIterator[None]:
        """Run a publisher for the block, which begins after its birth message."""
        running = asyncio.create_task(self.make(**keys).run())
        try:
            await self.until(lambda: self.online() or running.done(), tick)
            yield
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    async def until(self, true: Callable[[], object], tick: float = 0.0) -> None:
        """Let tasks and the store's thread run until the condition is true; each check moves the clock by `tick`."""
        async with asyncio.timeout(PATIENCE):
            while not (await found if isawaitable(found := true()) else found):
                await self.clock.advance(tick)
                await asyncio.sleep(0.002)

    async def spend(self, seconds: float, tick: float = 10.0) -> None:
        """Let so much time pass, in steps, and let all tasks finish their work after each step."""
        for _ in range(round(seconds / tick)):
            await self.clock.advance(tick)
            await self.quiet()

    async def quiet(self) -> None:
        """Wait until all tasks and the store's thread have finished their work."""
        for _ in range(5):
            await self.clock.advance(0)
            await self.store.unsent(0, 1)
        await self.clock.advance(0)

    async def add(self, count: int) -> None:
        for _ in range(count):
            await self.store.log(NewEvent("torchkeeper.test", START, None, {}))

    async def decide(self, count: int = 1, references: int = 1) -> None:
        """Add `count` decisions about an image with so many references."""
        image = payloads.ImageRef(
            id="sha256:" + "1" * 64,
            references=[f"teamai/pytorch:{number}-{'x' * 60}" for number in range(references)],
            size_bytes=9,
        )
        for _ in range(count):
            data = payloads.DecisionData.model_validate(
                {
                    "decision_id": secrets.token_hex(16),
                    "action": "evict",
                    "reason": "idle-ttl",
                    "mode": "enforce",
                    "explanation": "idle 15 d, TTL 14 d; frees about 4.8 GB",
                    "image": image,
                    "last_used": None,
                    "idle_seconds": 15 * 86400.0,
                    "ttl_seconds": 14 * 86400.0,
                    "estimated_bytes": 4_800_000_000,
                    "evidence": ["ENV PYTORCH_VERSION=2.9.0"],
                }
            )
            await self.store.log(NewEvent(data.type, START, image.id, data.stored(), data.decision_id))

    async def kept(self) -> list[payloads.Event]:
        """The events in the local history."""
        return await self.store.load_events(START)

    async def is_empty(self) -> bool:
        return await self.waiting() == []

    async def waiting(self) -> list[int]:
        return [row.seq for row in await self.store.unsent(0, 1000)]

    def acknowledge(self, seq: int) -> None:
        """Publish a watermark as the collector."""
        ack = payloads.Ack(collector="main", epoch=self.store.epoch, seq=seq)
        self.server.route(Message(TOPICS.ack, ack.encode(), retain=True))

    def online(self) -> bool:
        status = payloads.decode(payloads.Status, self.server.retained.get(TOPICS.status, b""))
        return status is not None and status.state == "online"

    def statuses(self) -> list[tuple[str, int]]:
        found = (payloads.decode(payloads.Status, payload) for payload in self.payloads(TOPICS.status))
        return [(status.state, status.session) for status in found if status is not None]

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.server.published if message.topic == topic]

    def sent(self) -> list[int]:
        """The numbers of the events that the broker accepted, in order."""
        return [json.loads(payload)["data"]["seq"] for payload in self.payloads(TOPICS.events) if payload != PROBE]

    def retained(self) -> set[str]:
        return {topic.removeprefix("torchkeeper/v1/hosts/gpu-07/") for topic in self.server.retained}


@asynccontextmanager
async def rigged(folder: Path, **keys: Any) -> AsyncIterator[PublisherRig]:
    """A rig with a state file in this folder."""
    made = PublisherRig(Store(database.open_file(folder, START)[0], **keys))
    yield made
    await made.store.close()


class QuickClock(FakeClock):
    """A clock many times as fast as the machine's, so that rows are resent soon. Its wall clock stands still."""

    def __init__(self, speed: float = 30) -> None:
        super().__init__()
        self._speed = speed

    def monotonic(self) -> float:
        return self._speed * time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


@asynccontextmanager
async def on_mosquitto(rig: PublisherRig, server: Mosquitto) -> AsyncIterator[None]:
    """Run a publisher on a real broker for the block."""
    async with connected(rig, make_options(server, CLIENT_ID)):
        yield


@asynccontextmanager
async def connected(
    rig: PublisherRig, options: broker.Options, *, speed: float = 30, settings: publisher.Settings | None = None
) -> AsyncIterator[None]:
    """Run a publisher with the real client for the block."""
    live = build.make_publisher(
        connect=partial(broker.connect, options),
        topics=TOPICS,
        host_report=rig.host_report,
        outbox=rig.store,
        clock=QuickClock(speed),
        agent_id=AGENT_ID,
        settings=settings or publisher.Settings(),
    )
    running = asyncio.create_task(live.run())
    try:
        yield
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def make_options(server: Mosquitto, client_id: str) -> broker.Options:
    return broker.options(sections.Mqtt(url=server.url), client_id)


def without_repeats(numbers: Iterable[int]) -> list[int]:
    return list(dict.fromkeys(numbers))
