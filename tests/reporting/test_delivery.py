"""The outbox on mosquitto, with a collector that acknowledges: what is killed or forgets on the way costs no event."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agent.adapters.mqtt import broker as mqtt
from agent.adapters.mqtt.broker import Message
from agent.adapters.sqlite import database
from agent.adapters.sqlite.store import Store
from agent.core.protocol import payloads
from agent.core.protocol.new_events import NewEvent
from tests.support import collector
from tests.support.collector import Collector, Received
from tests.support.fakes.clock import START
from tests.support.mosquitto import Mosquitto
from tests.support.proc import PATIENCE, eventually_async
from tests.support.publishing import (
    AGENT_ID,
    CLIENT_ID,
    TOPICS,
    PublisherRig,
    make_options,
    make_status,
    on_mosquitto,
    rigged,
)

T = TypeVar("T")

ROUNDS = 5  # in each the broker is killed
BURST = 60  # events a round

pytestmark = pytest.mark.real


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[PublisherRig]:
    async with rigged(tmp_path) as made:
        await made.store.name_host(TOPICS.host)
        yield made


@asynccontextmanager
async def collecting(broker: Mosquitto, folder: Path) -> AsyncIterator[Collector]:
    """A collector that is subscribed."""
    with collector.running(broker.port, folder) as hub:
        await asyncio.to_thread(hub.wait_until, lambda: collector.SUBSCRIBED in hub.output())
        yield hub


async def written(rig: PublisherRig) -> dict[tuple[str, str, int], dict[str, Any]]:
    """What the host wrote down, as the collector keys it."""
    events = await rig.store.load_events(START)
    return {(TOPICS.host, rig.store.epoch, event.data["seq"]): json.loads(event.encode()) for event in events}


async def delivered(rig: PublisherRig) -> None:
    """Wait until nothing waits any more."""
    await eventually_async(rig.is_empty, PATIENCE)


def state_of(payload: bytes) -> str:
    status = payloads.decode(payloads.Status, payload)
    return status.state if status is not None else "none"


@asynccontextmanager
async def statuses(broker: Mosquitto) -> AsyncIterator[list[str]]:
    """The states that a subscriber hears, in order, as they come."""
    heard: list[str] = []

    async def listen() -> None:
        async for message in connection.messages():
            heard.append(state_of(message.payload))

    async with mqtt.connect(make_options(broker, "watcher")) as connection:
        await connection.subscribe(TOPICS.status)
        listening = asyncio.create_task(listen())
        try:
            yield heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def until(true: Callable[[], object]) -> None:
    async def look() -> bool:
        return bool(true())

    await eventually_async(look, PATIENCE)


async def test_each_event_arrives_once_and_in_order_through_kills_of_broker_collector_and_agent(
    rig: PublisherRig, broker: Mosquitto, tmp_path: Path
) -> None:
    backup, total = tmp_path / "backup.db", ROUNDS * BURST
    async with collecting(broker, tmp_path) as hub:
        for number in range(ROUNDS):
            async with on_mosquitto(rig, broker):
                await add_through_a_kill(rig, broker)
                if number == 1:
                    await delivered(rig)
                    read(hub, lambda received: received.copy_to(backup))
                elif number == 3:
                    await delivered(rig)
                    await asyncio.to_thread(hub.restore, backup)
                    await asyncio.to_thread(hub.start)
                elif number == 4:
                    await asyncio.to_thread(hub.kill)
                    await asyncio.to_thread(hub.start)
            await rig.store.close()
            rig.store = Store(database.open_file(tmp_path, START)[0])
        async with on_mosquitto(rig, broker):
            await delivered(rig)
        events = read(hub, Received.events)
        assert events == await written(rig)
        assert [seq for _, _, seq in events] == list(range(1, total + 1))
        assert await rig.store.watermark() == total
        assert rig.host_report.alerts == {}


async def add_through_a_kill(rig: PublisherRig, broker: Mosquitto) -> None:
    """Add a burst of events, and kill the broker as soon as the collector has some of what there is."""
    before = await rig.store.watermark() or 0

    async def begun() -> bool:
        return (await rig.store.watermark() or 0) > before

    adding = asyncio.create_task(rig.add(BURST))
    await eventually_async(begun, PATIENCE)
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)
    await adding


def read(hub: Collector, ask: Callable[[Received], T]) -> T:
    """Ask what the collector has now."""
    with closing(Received(hub.database)) as received:
        return ask(received)


async def test_a_broker_that_loses_what_it_acknowledged_costs_no_event(
    rig: PublisherRig, broker: Mosquitto, tmp_path: Path
) -> None:
    async with collecting(broker, tmp_path) as hub, on_mosquitto(rig, broker):
        await rig.add(10)
        await delivered(rig)
        await asyncio.to_thread(hub.kill)
        await rig.add(200)
        sent = f"Received PUBLISH from {CLIENT_ID}"
        await until(lambda: broker.output().count(sent) >= 210)
        await asyncio.to_thread(broker.kill)
        assert await rig.waiting() == list(range(11, 211))
        await asyncio.to_thread(broker.start)
        await asyncio.to_thread(hub.start_subscribed)
        await delivered(rig)
        assert read(hub, Received.events) == await written(rig)


async def test_rows_given_up_are_named_and_the_collector_goes_on(broker: Mosquitto, tmp_path: Path) -> None:
    async with rigged(tmp_path, bound=64 * 1024) as rig, collecting(broker, tmp_path) as hub:
        await rig.store.name_host(TOPICS.host)
        async with on_mosquitto(rig, broker):
            await rig.add(5)
            await delivered(rig)
        for number in range(300):
            kind = payloads.SweepData.type if number % 10 else payloads.OutcomeData.type
            await rig.store.log(NewEvent(kind, START, None, {"filler": "x" * 400}))
        await rig.store.quarantine((await rig.waiting())[-2], "too long", START)
        async with on_mosquitto(rig, broker):
            await delivered(rig)
        events = read(hub, Received.events)
        there = {seq for _, _, seq in events}
        named = {number for first, last in read(hub, Received.named) for number in range(first, last + 1)}
        assert (there | named, there & named) == (set(range(1, max(there) + 1)), set())
        assert len(named) > 100
        assert [event["type"] for event in events.values()].count(payloads.OutcomeData.type) == 30
        assert await rig.store.watermark() == max(there)


async def test_a_will_that_comes_late_is_answered(rig: PublisherRig, broker: Mosquitto) -> None:
    former = Message(TOPICS.status, make_status("offline", session=1, agent_id=AGENT_ID), retain=True)
    async with on_mosquitto(rig, broker), statuses(broker) as heard:
        await until(lambda: heard == ["online"])
        await asyncio.to_thread(die, broker, former)
        await until(lambda: heard == ["online", "offline", "online"])
    async with statuses(broker) as left:
        await until(lambda: left == ["offline"])
    assert rig.host_report.alerts == {}


def die(broker: Mosquitto, will: Message) -> None:
    """Connect with a will, and end without a goodbye."""
    client = collector.make_client("former", "nothing")
    client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
    client.connect(broker.host, broker.port)
    while not client.is_connected():
        client.loop()
    socket = client.socket()
    assert socket is not None
    socket.close()
