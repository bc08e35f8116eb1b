"""One contract for the broker in memory and mosquitto, so that the fake behaves as the real one does."""

import asyncio
from functools import partial
from typing import Protocol

import pytest

from agent.adapters.broker import (
    BrokerUnavailable,
    CollectorConnection,
    Connect,
    ConnectCollector,
    Delivery,
    Message,
)
from agent.adapters.mqtt import broker
from tests.support.fakes.broker import FakeBroker, matches
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import make_collector_options, make_options, take
from tests.support.proc import PATIENCE, eventually_async

WILL = Message("will", b"gone", retain=True)


class Server(Protocol):
    """What the contract needs of a broker, the fake one or mosquitto."""

    def connector(self, client_id: str) -> Connect: ...
    def collector_connector(self, client_id: str) -> ConnectCollector: ...
    def stop(self) -> object: ...
    def start(self) -> None: ...


class RealServer:
    def __init__(self, server: Mosquitto, version: str = "5") -> None:
        self._server = server
        self._version = version

    def connector(self, client_id: str) -> Connect:
        return partial(broker.connect, make_options(self._server, client_id=client_id))

    def collector_connector(self, client_id: str) -> ConnectCollector:
        return broker.collector_connector([make_collector_options(self._server, client_id, self._version)])

    def stop(self) -> object:
        return self._server.stop()

    def start(self) -> None:
        self._server.start()


@pytest.fixture(params=["fake", pytest.param("mosquitto", marks=pytest.mark.real)])
def server(request: pytest.FixtureRequest) -> Server:
    return FakeBroker() if request.param == "fake" else RealServer(request.getfixturevalue("broker"))


@pytest.fixture(params=["fake", *(pytest.param(version, marks=pytest.mark.real) for version in ("5", "3.1.1"))])
def keeping(request: pytest.FixtureRequest) -> Server:
    """A broker of collectors, which speak both versions of MQTT: each has its own way to keep a session."""
    return FakeBroker() if request.param == "fake" else RealServer(request.getfixturevalue("broker"), request.param)


async def test_a_subscriber_gets_what_is_published_in_order(server: Server) -> None:
    async with server.connector("a")(None) as a, server.connector("b")(None) as b:
        await a.subscribe("x/+/y")
        for number in range(3):
            await b.publish(f"x/{number}/y", b"%d" % number)
        await b.publish("x/1/other", b"not asked for")
        await b.publish("x/3/y", b"3")
        got = await take(a, 4)
    assert got == [Message(f"x/{number}/y", b"%d" % number) for number in range(4)]


async def test_publishes_started_together_keep_their_order(server: Server) -> None:
    async with server.connector("a")(None) as a:
        await a.subscribe("x")
        await asyncio.gather(*(a.publish("x", b"%d" % number) for number in range(50)))
        got = await take(a, 50)
    assert [message.payload for message in got] == [b"%d" % number for number in range(50)]


async def test_what_is_retained_reaches_a_later_subscriber_as_retained(server: Server) -> None:
    async with server.connector("a")(None) as a:
        await a.publish("x/old", b"1", retain=True)
        await a.publish("x/old", b"2", retain=True)
        await a.publish("x/passing", b"3")
        await a.subscribe("x/#")
        await a.publish("x/new", b"4", retain=True)
        assert await take(a, 2) == [Message("x/old", b"2", retain=True), Message("x/new", b"4")]


async def test_an_empty_payload_clears_what_was_retained(server: Server) -> None:
    async with server.connector("a")(None) as a:
        await a.publish("x/cleared", b"1", retain=True)
        await a.publish("x/cleared", b"", retain=True)
        await a.publish("x/kept", b"2", retain=True)
        await a.subscribe("x/#")
        assert await take(a, 1) == [Message("x/kept", b"2", retain=True)]


async def test_leaving_says_goodbye_so_the_will_is_not_published(server: Server) -> None:
    async with server.connector("watcher")(None) as watcher:
        await watcher.subscribe("#")
        async with server.connector("a")(WILL) as a:
            await a.publish("x", b"1")
        async with server.connector("a")(None) as again:  # by now the broker has dealt with the first one
            await again.publish("x", b"2")
        assert await take(watcher, 2) == [Message("x", b"1"), Message("x", b"2")]


async def test_a_second_client_with_one_id_ends_the_first_and_its_will_is_published(server: Server) -> None:
    async with server.connector("watcher")(None) as watcher:
        await watcher.subscribe("will")
        async with server.connector("a")(WILL) as first, server.connector("a")(None) as second:
            with pytest.raises(BrokerUnavailable):
                await take(first, 1)
            with pytest.raises(BrokerUnavailable):
                await first.publish("x", b"1")
            await second.publish("x", b"2")
        assert await take(watcher, 1) == [Message("will", b"gone")]


async def test_a_lost_broker_ends_everything_that_waits_for_it(server: Server) -> None:
    async with server.connector("a")(None) as a:
        reading = asyncio.create_task(take(a, 1))
        await a.publish("x", b"1")
        await asyncio.to_thread(server.stop)
        with pytest.raises(BrokerUnavailable):
            await reading
        with pytest.raises(BrokerUnavailable):
            await a.publish("x", b"2")
        with pytest.raises(BrokerUnavailable):
            await a.subscribe("x")
    with pytest.raises(BrokerUnavailable):
        async with server.connector("a")(None):
            pass
    await asyncio.to_thread(server.start)
    async with server.connector("a")(None) as a:
        await a.publish("x", b"3")


async def test_the_fake_matches_topic_filters_as_brokers_do() -> None:
    table = {("a/#", "a"): True, ("a/+", "a"): False, ("+/b", "a/b"): True, ("a/b", "a/b/c"): False}
    assert {pair: matches(*pair) for pair in table} == table


# Collectors


async def receive(connection: CollectorConnection, count: int) -> list[Delivery]:
    """The next deliveries of a collector, not acknowledged yet."""
    received: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(received) < count:
            received += await connection.take(count - len(received), 1_000_000)
    return received


async def until_waiting(connection: CollectorConnection, count: int) -> None:
    async def arrived() -> bool:
        return connection.waiting >= count

    await eventually_async(arrived)


def payloads_of(deliveries: list[Delivery]) -> list[bytes]:
    return [delivery.payload for delivery in deliveries]


async def test_what_a_collector_has_not_acknowledged_comes_again_on_its_next_connection(keeping: Server) -> None:
    async with keeping.connector("host")(None) as host:
        async with keeping.collector_connector("hub")(None) as hub:
            await hub.subscribe("events")
            for number in range(4):
                await host.publish("events", b"%d" % number)
            received = await receive(hub, 4)
            hub.acknowledge(received[:2])
            await hub.publish("x", b"by now the broker has the acknowledgements")
        async with keeping.collector_connector("hub")(None) as again:
            assert payloads_of(await receive(again, 2)) == [b"2", b"3"]
            assert again.waiting == 0


async def test_a_collector_that_was_away_gets_what_it_missed_with_qos_1_and_not_with_qos_0(keeping: Server) -> None:
    async with keeping.connector("host")(None) as host:
        async with keeping.collector_connector("hub")(None) as hub:
            await hub.subscribe("events")
            await hub.subscribe("status", qos=0)
        async with keeping.collector_connector("elsewhere")(None) as other:  # by now the broker knows that it left
            await other.publish("x", b"")
        await host.publish("status", b"missed")
        await host.publish("events", b"kept")
        async with keeping.collector_connector("hub")(None) as again:
            await host.publish("status", b"seen")
            assert payloads_of(await receive(again, 2)) == [b"kept", b"seen"]


async def test_a_collector_gets_what_is_retained_at_each_subscription_with_nothing_to_acknowledge(
    keeping: Server,
) -> None:
    async with keeping.connector("host")(None) as host:
        await host.publish("status", b"online", retain=True)
        for _ in range(2):
            async with keeping.collector_connector("hub")(None) as hub:
                await hub.subscribe("status", qos=0)
                assert await receive(hub, 1) == [Delivery("status", b"online", retain=True, receipt=0)]


async def test_a_collector_takes_no_more_messages_and_bytes_than_it_wants_but_at_least_one(keeping: Server) -> None:
    async with keeping.connector("host")(None) as host, keeping.collector_connector("hub")(None) as hub:
        await hub.subscribe("events")
        for number in range(6):
            await host.publish("events", b"%d" % number * 100)
        await until_waiting(hub, 6)
        taken = [await hub.take(2, 1_000_000), await hub.take(9, 150), await hub.take(9, 0), hub.take_waiting(9, 9000)]
        assert [len(part) for part in taken] == [2, 2, 1, 1]
        assert hub.take_waiting(9, 9000) == []


async def test_a_lost_broker_ends_a_collector_after_it_took_what_had_come(keeping: Server) -> None:
    async with keeping.collector_connector("hub")(None) as hub:
        await hub.subscribe("events")
        await hub.publish("events", b"1")
        await until_waiting(hub, 1)
        await asyncio.to_thread(keeping.stop)
        received = await receive(hub, 1)
        with pytest.raises(BrokerUnavailable):
            await receive(hub, 1)
        hub.acknowledge(received)
    assert payloads_of(received) == [b"1"]
