"""A small MQTT 3.1.1 broker on a real socket. Like aedes and RabbitMQ, it closes the connection instead of refusing.

It accepts QoS 0 and 1, keeps retained messages and wills, and delivers with QoS 0. Its switches can be changed while it
runs. It runs in the event loop of the test.
"""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from agent.adapters.mqtt.broker import Message
from tests.support.fakes.broker import matches, retain

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14
LEVEL = 4  # of the protocol: MQTT 3.1.1
WILL, WILL_RETAIN = 0x04, 0x20  # flags of a CONNECT


@dataclass
class HangingBroker:
    """The accepted messages, in order, and the switches of the broker."""

    port: int = 0
    hangs_up: Callable[[Message], bool] = lambda _: False  # the messages on which it closes the connection
    refusals: Counter[str] = field(default_factory=Counter)  # topic filter -> how often it still answers 0x80
    published: list[Message] = field(default_factory=list)
    retained: dict[str, bytes] = field(default_factory=dict)
    hung_up: list[Message] = field(default_factory=list)  # the messages on which it closed the connection
    connects: int = 0
    keepalives: list[int] = field(default_factory=list)  # of each CONNECT, in seconds
    clients: list["Connected"] = field(default_factory=list)
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.published if message.topic == topic]

    def cut(self) -> None:
        """End every connection."""
        for client in list(self.clients):
            client.writer.close()

    def route(self, message: Message) -> None:
        """Accept a message, and deliver it to its subscribers."""
        self.published.append(message)
        retain(self.retained, message)
        for client in self.clients:
            if any(matches(pattern, message.topic) for pattern in client.filters):
                client.deliver(message, retain=False)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, from its CONNECT to its end."""
        client = Connected(self, reader, writer)
        self.connects += 1
        self.clients.append(client)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await client.run()
        finally:
            self.clients.remove(client)
            writer.close()
            if client.will is not None:
                self.route(client.will)


class Connected:
    """One client."""

    def __init__(self, broker: HangingBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.broker = broker
        self.reader = reader
        self.writer = writer
        self.filters: list[str] = []
        self.will: Message | None = None

    async def run(self) -> None:
        kind, _, body = await self._packet()
        assert kind == CONNECT
        if body[6] != LEVEL:
            self.send(CONNACK, b"\x00\x01")  # unacceptable protocol version
            return
        self.will = _will(body)
        self.broker.keepalives.append(int.from_bytes(body[8:10]))
        self.send(CONNACK, b"\x00\x00")
        while True:
            kind, flags, body = await self._packet()
            if kind == DISCONNECT:
                self.will = None
                return
            if kind == PINGREQ:
                self.send(PINGRESP)
            elif kind == SUBSCRIBE:
                self._subscribe(body)
            elif kind == PUBLISH and not self._take(flags, body):
                return

    def deliver(self, message: Message, *, retain: bool) -> None:
        self.send(PUBLISH, _text(message.topic) + message.payload, flags=int(retain))

    def _take(self, flags: int, body: bytes) -> bool:
        """Accept a message and acknowledge it. Returns False if the connection has to be closed on it."""
        topic, rest = _read(body)
        number, rest = (rest[:2], rest[2:]) if flags & 0x06 else (b"", rest)
        message = Message(topic.decode(), rest, retain=bool(flags & 0x01))
        if self.broker.hangs_up(message):
            self.broker.hung_up.append(message)
            return False
        if number:
            self.send(PUBACK, number)
        self.broker.route(message)
        return True

    def _subscribe(self, body: bytes) -> None:
        number, rest = body[:2], body[2:]
        codes, granted = b"", []
        while rest:
            pattern, rest = _read(rest)
            rest = rest[1:]
            name = pattern.decode()
            refused = self.broker.refusals[name] > 0
            self.broker.refusals[name] -= refused
            codes += b"\x80" if refused else b"\x01"
            granted += [] if refused else [name]
        self.send(SUBACK, number + codes)
        self.filters += granted
        for topic, payload in self.broker.retained.items():
            if any(matches(pattern, topic) for pattern in granted):
                self.deliver(Message(topic, payload), retain=True)

    async def _packet(self) -> tuple[int, int, bytes]:
        """Kind, flags and body of the next packet."""
        head = (await self.reader.readexactly(1))[0]
        length, shift = 0, 0
        while True:
            byte = (await self.reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return head >> 4, head & 0x0F, await self.reader.readexactly(length)

    def send(self, kind: int, body: bytes = b"", flags: int = 0) -> None:
        length, rest = b"", len(body)
        while True:
            rest, low = rest >> 7, rest & 0x7F
            length += bytes([low | (0x80 if rest else 0)])
            if not rest:
                break
        self.writer.write(bytes([kind << 4 | flags]) + length + body)


def _will(connect: bytes) -> Message | None:
    flags = connect[7]
    _, rest = _read(connect[10:])  # the client id
    if not flags & WILL:
        return None
    topic, rest = _read(rest)
    payload, _ = _read(rest)
    return Message(topic.decode(), payload, retain=bool(flags & WILL_RETAIN))


def _read(data: bytes) -> tuple[bytes, bytes]:
    """Split off a text with its length in front. Returns the text and the rest."""
    (length,) = struct.unpack_from("!H", data)
    return data[2 : 2 + length], data[2 + length :]


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text.encode())) + text.encode()


@asynccontextmanager
async def running() -> AsyncIterator[HangingBroker]:
    """Run a broker for the block, on a loopback port."""
    broker = HangingBroker()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker.serving.add(asyncio.create_task(broker.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        broker.cut()
        await asyncio.gather(*broker.serving)
        await server.wait_closed()
