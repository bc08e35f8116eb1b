"""A broker in memory. It passes the same contract tests as mosquitto."""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Literal, TypeVar

from agent.adapters.mqtt import broker
from agent.adapters.mqtt.broker import Delivery, Message

C = TypeVar("C", bound="_Client")


class FakeBroker:
    """The published messages, in order, and the switches for failures."""

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.retained: dict[str, bytes] = {}
        self.denied: dict[str, int] = {}  # topic -> the reason code of the refusal
        self.unreadable: set[str] = set()  # topic filters whose subscription is refused
        self.poison: Callable[[Message], bool] = lambda _: False  # messages that end the connection that sends them
        self.login_refused = False
        self.acknowledging = asyncio.Event()  # if cleared, it accepts messages without acknowledging them
        self.acknowledging.set()
        self.withheld: set[str] = set()  # topics whose messages it accepts without acknowledging, except empty ones
        self.connects = 0
        self.subscriptions: list[str] = []  # requested topic filters, granted or not
        self._up = True
        self._clients: dict[str, _Client] = {}
        self._sessions: dict[str, Session] = {}  # of collectors, by client ID

    def connector(self, client_id: str) -> broker.Connect:
        return partial(self.connect, client_id)

    def collector_connector(self, client_id: str) -> broker.ConnectCollector:
        return partial(self.connect_collector, client_id)

    @asynccontextmanager
    async def connect(self, client_id: str, will: Message | None = None) -> AsyncIterator[broker.Connection]:
        async with self._connected(client_id, _Client(self, will)) as client:
            yield client

    @asynccontextmanager
    async def connect_collector(
        self, client_id: str, will: Message | None = None
    ) -> AsyncIterator[broker.CollectorConnection]:
        session = self._sessions.setdefault(client_id, Session())
        async with self._connected(client_id, _CollectorClient(self, will, session)) as client:
            yield client

    @asynccontextmanager
    async def _connected(self, client_id: str, client: C) -> AsyncIterator[C]:
        await asyncio.sleep(0)
        if not self._up:
            raise broker.BrokerUnavailable("fake: down")
        if self.login_refused:
            raise broker.LoginRefused("fake: refused; check mqtt.username")
        self.connects += 1
        if client_id in self._clients:
            self._end(client_id, broker.BrokerUnavailable("fake: taken over"), with_will=True)
        self._clients[client_id] = client
        try:
            yield client
        finally:
            if self._clients.get(client_id) is client:
                del self._clients[client_id]

    def stop(self) -> None:
        """Crash: all connections end, and the retained messages and the sessions are lost."""
        self._up = False
        self.retained.clear()
        self._sessions.clear()
        for client_id in list(self._clients):
            self._end(client_id, broker.BrokerUnavailable("fake: lost"), with_will=False)

    def start(self) -> None:
        self._up = True

    def cut(self, client_id: str) -> None:
        """Let one client's network fail; the broker publishes its will."""
        self.end(client_id, broker.BrokerUnavailable("fake: cut"))

    def end(self, client_id: str, error: broker.BrokerUnavailable) -> None:
        """End one client's connection with this error; the broker publishes its will."""
        self._end(client_id, error, with_will=True)

    def subscribe(self, client_id: str, topic: str) -> None:
        """Send a client messages of a topic to which it did not subscribe, from now on."""
        self._clients[client_id].filters.append(topic)

    def forget(self, client_id: str, topic: str) -> None:
        """Stop delivering for a subscription that was granted."""
        self._clients[client_id].filters.remove(topic)

    def unacknowledged(self, client_id: str) -> int:
        """How many messages a collector has not acknowledged, delivered or not."""
        return len(self._sessions[client_id].unacknowledged)

    def route(self, message: Message) -> None:
        """Accept a message and deliver it, as if a client had published it."""
        self.published.append(message)
        retain(self.retained, message)
        for client in self._clients.values():
            client.deliver(Message(message.topic, message.payload))
        for client_id in self._sessions.keys() - self._clients.keys():
            self._sessions[client_id].keep(message)

    def take(self, sender: "_Client", message: Message) -> None:
        if message.topic in self.denied:
            raise broker.PublishRefused(self.denied[message.topic], "fake: refused")
        if self.poison(message):
            client_id = next(name for name, client in self._clients.items() if client is sender)
            self._end(client_id, broker.BrokerUnavailable("fake: malformed packet"), with_will=True)
        else:
            self.route(message)

    def _end(self, client_id: str, error: broker.BrokerUnavailable, *, with_will: bool) -> None:
        client = self._clients.pop(client_id)
        client.end(error)
        if with_will and client.will is not None:
            self.route(client.will)


@dataclass
class Session:
    """What the broker keeps of a collector while that is away."""

    filters: dict[str, int] = field(default_factory=dict)  # with their QoS
    unacknowledged: dict[int, Delivery] = field(default_factory=dict)
    numbers: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    def qos(self, topic: str) -> int | None:
        """With which QoS it receives messages of a topic; None: not at all."""
        return max((qos for pattern, qos in self.filters.items() if matches(pattern, topic)), default=None)

    def keep(self, message: Message, *, retain: bool = False) -> Delivery | None:
        """What to deliver of a message, and again until it is acknowledged if its QoS is 1."""
        qos = self.qos(message.topic)
        if qos is None:
            return None
        receipt = next(iter(self.numbers)) if qos else 0
        delivery = Delivery(message.topic, message.payload, retain, receipt)
        if receipt:
            self.unacknowledged[receipt] = delivery
        return delivery


class _Client:
    """One connection."""

    peer = "fake, MQTT 5"
    certificate_expires: datetime | None = None

    def __init__(self, server: FakeBroker, will: Message | None) -> None:
        self.will = will
        self._server = server
        self.filters: list[str] = []
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue()
        self._error: broker.BrokerUnavailable | None = None
        self._ended = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._check()
        self._server.take(self, Message(topic, payload, retain))
        never = asyncio.Event()
        answer = never if topic in self._server.withheld and payload else self._server.acknowledging
        acknowledged = asyncio.ensure_future(answer.wait())
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({acknowledged, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            acknowledged.cancel()
            ended.cancel()
        self._check()

    async def subscribe(self, topic: str, qos: Literal[0, 1] = 1) -> None:
        self._check()
        self._server.subscriptions.append(topic)
        if topic in self._server.unreadable:
            raise broker.SubscribeRefused("fake: not readable")
        self.filters.append(topic)
        for name, payload in self._server.retained.items():
            if matches(topic, name):
                self._waiting.put_nowait(Message(name, payload, retain=True))
        await asyncio.sleep(0)

    async def messages(self) -> AsyncIterator[Message]:
        while (message := await self._waiting.get()) is not None:
            yield message
        self._waiting.put_nowait(None)
        self._check()

    def deliver(self, message: Message, topic: str | None = None) -> None:
        """Deliver a message if a filter matches its topic; under another topic if one is given."""
        if any(matches(pattern, message.topic) for pattern in self.filters):
            self._waiting.put_nowait(Message(topic or message.topic, message.payload))

    def end(self, error: broker.BrokerUnavailable) -> None:
        self._error = error
        self._ended.set()
        self._waiting.put_nowait(None)

    def _check(self) -> None:
        if self._error is not None:
            raise type(self._error)(str(self._error))


class _CollectorClient(_Client):
    """One connection of a collector."""

    def __init__(self, server: FakeBroker, will: Message | None, session: Session) -> None:
        super().__init__(server, will)
        self._session = session
        self._deliveries = deque(session.unacknowledged.values())
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._deliveries)

    async def subscribe(self, topic: str, qos: Literal[0, 1] = 1) -> None:
        self._check()
        self._server.subscriptions.append(topic)
        if topic in self._server.unreadable:
            raise broker.SubscribeRefused("fake: not readable")
        self._session.filters[topic] = qos
        for name, payload in self._server.retained.items():
            if matches(topic, name):
                self._add(self._session.keep(Message(name, payload), retain=True))
        await asyncio.sleep(0)

    async def take(self, most: int, most_bytes: int) -> list[Delivery]:
        while not self._deliveries:
            self._check()
            self._arrived.clear()
            await self._arrived.wait()
        return self.take_waiting(most, most_bytes)

    def take_waiting(self, most: int, most_bytes: int) -> list[Delivery]:
        taken: list[Delivery] = []
        while self._deliveries and len(taken) < most and (most_bytes > 0 or not taken):
            taken.append(self._deliveries.popleft())
            most_bytes -= len(taken[-1].payload)
        return taken

    def acknowledge(self, taken: Iterable[Delivery]) -> None:
        if self._error is None:
            for delivery in taken:
                self._session.unacknowledged.pop(delivery.receipt, None)

    def deliver(self, message: Message, topic: str | None = None) -> None:
        self._add(self._session.keep(message))

    def end(self, error: broker.BrokerUnavailable) -> None:
        super().end(error)
        self._arrived.set()

    def _add(self, delivery: Delivery | None) -> None:
        if delivery is not None:
            self._deliveries.append(delivery)
            self._arrived.set()


def retain(retained: dict[str, bytes], message: Message) -> None:
    """Update the retained messages after a message."""
    if message.retain and message.payload:
        retained[message.topic] = message.payload
    elif message.retain:
        retained.pop(message.topic, None)


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic filter matches a topic: `+` is one level, `#` is any number of levels, also none."""
    levels = topic.split("/")
    for index, part in enumerate(pattern.split("/")):
        if part == "#":
            return True
        if index >= len(levels) or part not in ("+", levels[index]):
            return False
    return len(levels) == pattern.count("/") + 1
