"""A collector reads only as fast as its messages are taken: what it does not read waits in the broker."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from agent.adapters.broker import Options
from agent.adapters.mqtt import broker, collector_client, connect
from agent.adapters.mqtt.collector_client import CollectorClient
from tests.support import mosquitto
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import make_collector_options, make_options
from tests.support.proc import PATIENCE, eventually_async

pytestmark = pytest.mark.real

KEEPALIVE = 15  # seconds, by default
MANY = 3000  # messages
LIMIT = 200  # messages that may wait
SLACK = 50  # packets that one call of the client library may handle after the limit


@pytest.fixture(params=["plain", "tls"], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Mosquitto]:
    with mosquitto.running(tls=request.param == "tls") as running:
        yield running


@asynccontextmanager
async def collecting(options: Options) -> AsyncIterator[CollectorClient]:
    """A collector that is subscribed to `events`, with QoS 0: nothing but its reading holds the broker up."""
    # without pings, whose answers would make the socket readable
    keepalive = 3600 if options.keepalive == KEEPALIVE else options.keepalive
    client = await connect.open_client(replace(options, session=0, keepalive=keepalive), None, CollectorClient)
    try:
        await client.request("events", qos=0)
        yield client
    finally:
        client.close()
        await asyncio.sleep(0)


async def publish(server: Mosquitto, count: int, size: int = 0) -> None:
    """Publish messages whose payloads begin with their numbers."""
    async with broker.connect(make_options(server, "host")) as host:
        for number in range(0, count, 100):
            numbers = range(number, min(count, number + 100))
            await asyncio.gather(*(host.publish("events", (b"%d " % n).ljust(size, b"x")) for n in numbers))


async def take_all(client: CollectorClient, count: int) -> list[int]:
    """The numbers of the next messages, which are taken a few at a time."""
    numbers: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while len(numbers) < count:
            numbers += [int(one.payload.split()[0]) for one in await client.take(7, 1_000_000)]
    return numbers


async def until_paused(client: CollectorClient) -> None:
    async def paused() -> bool:
        return client._paused

    await eventually_async(paused)


async def test_many_messages_that_wait_pause_reading_and_all_are_taken_in_their_order(
    server: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector_client, "MOST_WAITING", LIMIT)
    async with collecting(make_collector_options(server)) as client:
        publishing = asyncio.create_task(publish(server, MANY))
        await until_paused(client)
        await publishing
        assert LIMIT <= client.waiting <= LIMIT + SLACK
        assert await take_all(client, MANY) == list(range(MANY))


async def test_many_bytes_that_wait_pause_reading_and_all_are_taken_in_their_order(
    server: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector_client, "MOST_WAITING_BYTES", 1_000_000)
    async with collecting(make_collector_options(server)) as client:
        publishing = asyncio.create_task(publish(server, 300, size=40_000))
        await until_paused(client)
        await publishing
        assert 25 <= client.waiting <= 25 + SLACK
        assert await take_all(client, 300) == list(range(300))


async def test_what_was_read_from_the_socket_already_is_taken_although_nothing_more_comes(
    server: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector_client, "MOST_WAITING", 20)
    async with collecting(make_collector_options(server)) as client:
        client.pause_reading()
        await publish(server, 70)
        client.resume_reading()
        assert await take_all(client, 70) == list(range(70))


async def test_a_collector_that_does_not_read_for_long_pings_and_keeps_its_connection(server: Mosquitto) -> None:
    options = replace(make_collector_options(server), keepalive=1, client_id="slow")
    async with collecting(options) as client:
        before = server.output().count("Received PINGREQ from slow")
        client.pause_reading()

        async def pinged() -> bool:
            return server.output().count("Received PINGREQ from slow") >= before + 4

        await eventually_async(pinged)  # 4 s: the broker would have ended the connection after 1.5 s
        await publish(server, 1)
        assert client.waiting == 0
        client.resume_reading()
        assert await take_all(client, 1) == [0]


async def test_an_answer_that_stands_behind_many_messages_is_waited_for(server: Mosquitto) -> None:
    async with collecting(replace(make_collector_options(server), answer_timeout=5.0)) as client:
        client.pause_reading()
        publishing = asyncio.create_task(client.send("x", b"1", False))
        await asyncio.wait({publishing}, timeout=6.0)  # longer than an answer may take by itself
        assert not publishing.done()
        client.resume_reading()
        async with asyncio.timeout(PATIENCE):
            assert (await publishing).value == 0x10  # nobody has subscribed to it


async def test_a_collector_that_does_not_read_learns_of_a_lost_connection_once_it_reads_again() -> None:
    with mosquitto.running() as server:
        async with collecting(make_collector_options(server)) as client:
            client.pause_reading()
            await asyncio.to_thread(server.stop)
            client.resume_reading()
            with pytest.raises(broker.BrokerUnavailable, match="the connection is lost"):
                async with asyncio.timeout(PATIENCE):
                    await client.take(1, 1)


async def test_the_broker_withholds_messages_larger_than_a_collector_can_take(server: Mosquitto) -> None:
    async with collecting(make_collector_options(server)) as client:
        await publish(server, 1, size=broker.LARGEST_FOR_COLLECTOR + 1)
        await publish(server, 1)
        (only,) = await client.take(9, 9_000_000)
        assert only.payload == b"0 "
