"""A broker that sends far too much: the connection ends before it fills the memory, and the error says why."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from agent.adapters.mqtt import broker, incoming
from agent.adapters.mqtt.broker import Message
from agent.config import sections
from tests.support import hanging_broker
from tests.support.hanging_broker import PUBLISH, HangingBroker
from tests.support.mosquitto import Mosquitto
from tests.support.proc import PATIENCE

LARGEST = broker.Options(host="", port=0, client_id="").largest_incoming


def options(server: HangingBroker, client_id: str = "agent") -> broker.Options:
    return broker.Options(host="127.0.0.1", port=server.port, client_id=client_id, version="3.1.1")


async def read_until_the_end(connection: broker.Connection, came: list[Message]) -> None:
    async with asyncio.timeout(PATIENCE):
        async for message in connection.messages():
            came.append(message)


@asynccontextmanager
async def subscribed() -> AsyncIterator[tuple[HangingBroker, broker.Connection]]:
    """A client that reads one topic of a broker."""
    async with hanging_broker.running() as server, broker.connect(options(server)) as connection:
        await connection.subscribe("ack")
        yield server, connection


async def test_a_packet_as_large_as_may_be_is_taken_and_a_larger_one_ends_the_connection() -> None:
    came: list[Message] = []
    async with subscribed() as (server, connection):
        server.route(Message("ack", b"x" * (LARGEST - 100)))
        server.route(Message("ack", b"x" * LARGEST))
        with pytest.raises(
            broker.Flooded, match=rf"it sent a packet of {LARGEST + 5} bytes; the agent accepts {LARGEST}$"
        ):
            await read_until_the_end(connection, came)
        with pytest.raises(broker.Flooded):
            await connection.publish("x", b"1")
    assert [len(message.payload) for message in came] == [LARGEST - 100]


async def test_many_messages_that_nothing_asked_for_end_the_connection() -> None:
    came: list[Message] = []
    most = incoming.MAX_UNSOLICITED // incoming.MESSAGE_OVERHEAD
    async with subscribed() as (server, connection):
        for number in range(2 * most):
            server.route(Message("ack", b"%d" % number))
        with pytest.raises(broker.Flooded, match="more than 16 MB that the agent did not request"):
            await read_until_the_end(connection, came)
    assert 0 < len(came) < most


async def test_as_many_messages_that_answer_to_ours_end_nothing() -> None:
    """As after a long absence: the collector acknowledges each row, and there are collectors beside it."""
    most = 2 * incoming.MAX_UNSOLICITED // incoming.MESSAGE_OVERHEAD
    async with subscribed() as (server, connection):
        messages = aiter(connection.messages())
        async with asyncio.timeout(PATIENCE):
            for _ in range(most // 20):
                await connection.publish("events", b"row")
                for _ in range(20):
                    server.route(Message("ack", b"1"))
                assert [await anext(messages) for _ in range(20)] == [Message("ack", b"1")] * 20


async def test_a_message_of_qos_2_ends_the_connection() -> None:
    """paho would keep it, with all that follow, until it is released; and no subscription of ours allows it."""
    async with subscribed() as (server, connection):
        body = struct.pack("!H", 3) + b"ack" + b"\x00\x01" + b"payload"
        server.clients[0].send(PUBLISH, body, flags=0x04)
        with pytest.raises(broker.Flooded, match="QoS 2"):
            await read_until_the_end(connection, [])


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_server_that_answers_a_connect_with_a_huge_packet_is_left_at_once(version: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"\x20\xff\xff\xff\x7f" + b"x" * 100_000)  # a CONNACK of 256 MB begins
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, asyncio.timeout(PATIENCE):
        port = server.sockets[0].getsockname()[1]
        there = replace(broker.Options(host="127.0.0.1", port=port, client_id="a"), version=version)  # type: ignore[arg-type]
        there = replace(there, answer_timeout=3600, keepalive=3600)
        with pytest.raises(broker.BrokerUnavailable, match="a packet of 268435455 bytes"):
            async with broker.connect(there):
                pass


async def test_a_reader_of_a_whole_fleet_takes_whatever_comes() -> None:
    came: list[Message] = []
    async with hanging_broker.running() as server:
        server.retained = {f"x/{number}": b"y" * (2 * LARGEST) for number in range(40)}
        async with broker.connect(replace(options(server), largest_incoming=0)) as connection:
            await connection.subscribe("x/#")
            async with asyncio.timeout(PATIENCE):
                async for message in connection.messages():
                    came.append(message)
                    if len(came) == len(server.retained):
                        break
    assert sum(len(message.payload) for message in came) > incoming.MAX_UNSOLICITED


async def test_mosquitto_does_not_even_send_what_is_larger_than_the_agent_takes(broker_: Mosquitto) -> None:
    agent = broker.options(sections.Mqtt(url=broker_.url), "agent")
    writer = broker.options(sections.Mqtt(url=broker_.url), "writer")
    async with broker.connect(agent) as reading, broker.connect(writer) as writing:
        await reading.subscribe("ack")
        await writing.publish("ack", b"x" * (2 * LARGEST), retain=True)
        await writing.publish("ack", b"small")
        async with asyncio.timeout(PATIENCE):
            first = await anext(aiter(reading.messages()))
    assert first == Message("ack", b"small")


@pytest.fixture
def broker_(broker: Mosquitto) -> Mosquitto:
    """The fixture `broker`, under a name that leaves the module's free."""
    return broker


# What else `[mqtt]` says of a connection


async def test_the_keepalive_of_the_settings_is_said_to_the_broker() -> None:
    async with hanging_broker.running() as server:
        for keepalive in ("15s", "1h"):
            settings = sections.Mqtt.model_validate({"url": server.url, "version": "3.1.1", "keepalive": keepalive})
            async with broker.connect(broker.options(settings, "a")):
                pass
        assert server.keepalives == [15, 3600]


@pytest.mark.parametrize(("compress", "matching"), [(True, lambda text: b"\x78"), (False, lambda text: text[:1])])
async def test_payloads_are_compressed_where_the_settings_say_so_and_it_is_shorter(
    compress: bool, matching: Callable[[bytes], bytes]
) -> None:
    text = b'{"a": 1}' * 100
    async with hanging_broker.running() as server:
        settings = sections.Mqtt.model_validate({"url": server.url, "version": "3.1.1", "compress": compress})
        async with broker.connect(broker.options(settings, "a")) as connection:
            await connection.publish("x", text, retain=True)
            await connection.publish("y", b"{}")
            await connection.publish("z", b"", retain=True)
    assert server.payloads("x")[0][:1] == matching(text)
    assert (len(server.payloads("x")[0]) < len(text)) is compress
    assert server.payloads("y") + server.payloads("z") == [b"{}", b""]
