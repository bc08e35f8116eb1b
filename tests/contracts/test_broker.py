"""One contract for the broker in memory and mosquitto, so that the fake behaves as the real one does."""

import asyncio
from functools import partial
from typing import Protocol

import pytest

from agent.adapters.broker import BrokerUnavailable, Connect, Message
from agent.adapters.mqtt import broker
from tests.support.fakes.broker import FakeBroker, matches
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import make_options, take

WILL = Message("will", b"gone", retain=True)


class Server(Protocol):
    """What the contract needs of a broker, the fake one or mosquitto."""

    def connector(self, client_id: str) -> Connect: ...
    def stop(self) -> object: ...
    def start(self) -> None: ...


class RealServer:
    def __init__(self, server: Mosquitto) -> None:
        self._server = server

    def connector(self, client_id: str) -> Connect:
        return partial(broker.connect, make_options(self._server, client_id=client_id))

    def stop(self) -> object:
        return self._server.stop()

    def start(self) -> None:
        self._server.start()


@pytest.fixture(params=["fake", pytest.param("mosquitto", marks=pytest.mark.real)])
def server(request: pytest.FixtureRequest) -> Server:
    return FakeBroker() if request.param == "fake" else RealServer(request.getfixturevalue("broker"))


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
