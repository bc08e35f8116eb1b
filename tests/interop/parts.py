"""What reports to the broker and what listens: the real publisher, outbox and client, and a collector beside them."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from agent.adapters.clock import Clock
from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Connection, Message
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.daemon import build
from agent.fleet import feed as fleet
from agent.fleet.view import FleetView
from tests.interop.brokers import COLLECTOR, Place
from tests.support.collector import NAME, Received, Source
from tests.support.fakes.clock import FakeClock, QuickClock
from tests.support.proc import eventually_async
from tests.support.publishing import AGENT_ID, PublisherRig

Dial = Callable[[str, str], broker.Connect]  # takes the user and the client id

ROOT = "torchkeeper/v1"
PATIENCE = 60.0  # seconds, on a machine that has much else to do


@asynccontextmanager
async def reporting(connect: Dial, rig: PublisherRig, host: str, clock: Clock | None = None) -> AsyncIterator[None]:
    """An agent's whole side of the broker, until the block ends."""
    await rig.store.name_host(host)
    live = build.make_publisher(
        connect=connect(host, broker.agent_client_id(host, AGENT_ID)),
        topics=Topics("torchkeeper", host),
        host_report=rig.host_report,
        outbox=rig.store,
        clock=clock or QuickClock(),
        agent_id=AGENT_ID,
    )
    running = asyncio.create_task(live.run())
    try:
        yield
    finally:
        await _end(running)


@asynccontextmanager
async def collecting(connect: Dial, folder: Path) -> AsyncIterator[Received]:
    """A collector that is subscribed, confirms what it has, and comes back when the broker does."""
    received, subscribed = Received(folder / "collector.db"), asyncio.Event()
    birth_topic = f"{ROOT}/collectors/{NAME}/status"

    async def listen(connection: Connection) -> None:
        await connection.subscribe(f"{ROOT}/hosts/+/events")
        for source in received.sources():
            await _confirm(connection, received, source)
        await connection.publish(birth_topic, _birth(), retain=True)
        subscribed.set()
        async for message in connection.messages():
            if message.payload:  # an empty one is no event
                await _confirm(connection, received, received.take(json.loads(message.payload)))

    async def come_back() -> None:
        again = connect(COLLECTOR, "collector")
        while True:
            with suppress(broker.BrokerUnavailable, broker.SubscribeRefused):
                async with again(None) as connection:
                    await listen(connection)
            await asyncio.sleep(0.2)

    running = asyncio.create_task(come_back())
    try:
        async with asyncio.timeout(PATIENCE):
            await subscribed.wait()
        yield received
    finally:
        await _end(running)
        received.close()


async def _end(running: asyncio.Task[None]) -> None:
    """Cancel it. Raises what ended it before, if anything did."""
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def _birth() -> bytes:
    """Says that a collector is there that has missed what was published until now."""
    status = payloads.CollectorStatus(state="online", session=secrets.randbits(40), at=datetime.now(UTC))
    return status.encode()


async def _confirm(connection: Connection, received: Received, source: Source) -> None:
    host, epoch = source
    word = {"collector": NAME, "epoch": epoch, "seq": received.watermark(host, epoch)}
    await connection.publish(f"{ROOT}/control/{host}/ack", json.dumps(word).encode(), retain=True)


async def view(place: Place) -> FleetView:
    """The fleet as a reader who comes now finds it."""
    return await fleet.snapshot(place.connect_viewer(COLLECTOR), "torchkeeper", FakeClock())


async def until(true: Callable[[], object]) -> None:
    async def look() -> bool:
        return bool(true())

    await eventually_async(look, PATIENCE)


async def confirmed(rig: PublisherRig, seq: int) -> None:
    """Wait until the collector has all events up to a number, and nothing waits any more."""

    async def look() -> bool:
        return await rig.store.watermark() == seq and await rig.is_empty()

    await eventually_async(look, PATIENCE)


async def take(connection: Connection, wanted: Callable[[Message], bool]) -> Message:
    """The next message that is wanted."""
    async with asyncio.timeout(PATIENCE):
        async for message in connection.messages():
            if wanted(message):
                return message
    raise AssertionError("the messages ended")
