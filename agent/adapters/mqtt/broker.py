"""Connections to the broker, one at a time, with acknowledged publishes.

Each connection uses a new client: a reused one would resend messages that were in flight before.
"""

import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Generic, Literal, TypeVar
from urllib.parse import urlsplit

import aiomqtt

from agent.adapters.broker import (
    NOT_AUTHORIZED,
    PACKET_TOO_LARGE,
    PAYLOAD_INVALID,
    TOPIC_INVALID,
    BrokerUnavailable,
    CollectorConnection,
    Connect,
    ConnectCollector,
    Connection,
    Delivery,
    Flooded,
    LoginRefused,
    Message,
    Options,
    PublishRefused,
    SubscribeRefused,
)
from agent.adapters.mqtt.addresses import Addresses
from agent.adapters.mqtt.client import Client
from agent.adapters.mqtt.collector_client import CollectorClient
from agent.config import sections
from agent.config.settings import ConfigError
from agent.core.protocol import payloads

__all__ = [
    "NOT_AUTHORIZED",
    "PACKET_TOO_LARGE",
    "PAYLOAD_INVALID",
    "TOPIC_INVALID",
    "BrokerUnavailable",
    "CollectorConnection",
    "Connect",
    "ConnectCollector",
    "Connection",
    "Delivery",
    "Flooded",
    "LoginRefused",
    "Message",
    "Options",
    "PublishRefused",
    "SubscribeRefused",
    "agent_client_id",
    "all_options",
    "check_client_id",
    "collector_connector",
    "collector_options",
    "connect",
    "connector",
    "options",
    "viewer_connector",
]

C = TypeVar("C", bound=Client)

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}  # where the address names none
COLLECTOR_SESSION = 7 * 24 * 3600  # seconds for which the broker keeps events while the collector is away
COLLECTOR_RECEIVE_MAXIMUM = 100  # unacknowledged messages; not all brokers obey, see collector_client
LARGEST_FOR_COLLECTOR = 2 * payloads.MAX_PAYLOAD  # bytes per packet
_REFUSAL = 128  # reason codes from here on are refusals


def all_options(mqtt: sections.Mqtt, client_id: str) -> tuple[Options, ...]:
    """The options for each address of `[mqtt]`, in its order. Raises ConfigError if there is none."""
    if not mqtt.urls:
        raise ConfigError("mqtt.url: is empty; set it to mqtt://host[:port] or mqtts://host[:port]")
    return tuple(_options(mqtt, url, client_id) for url in mqtt.urls)


def options(mqtt: sections.Mqtt, client_id: str) -> Options:
    """The options for the first address of `[mqtt]`. Raises ConfigError if there is none."""
    return all_options(mqtt, client_id)[0]


def _options(mqtt: sections.Mqtt, url: str, client_id: str) -> Options:
    parts = urlsplit(url)
    return Options(
        host=parts.hostname or "",
        port=PORTS[parts.scheme] if parts.port is None else parts.port,
        client_id=client_id,
        tls=parts.scheme in ("mqtts", "wss"),
        path=(parts.path or "/") if parts.scheme in ("ws", "wss") else "",
        username=mqtt.username,
        password_file=mqtt.password_file,
        ca_file=mqtt.ca_file,
        cert_file=mqtt.cert_file,
        key_file=mqtt.key_file,
        version=mqtt.version,
        keepalive=int(mqtt.keepalive.total_seconds()),
        compress=mqtt.compress,
    )


def agent_client_id(host: str, agent_id: str) -> str:
    """The client ID of an agent, without dots, which NATS refuses. Two agents with one name differ by `agent_id`."""
    return f"torchkeeper-{host.replace('.', '-')}-{agent_id.replace('-', '')[:8]}"


def check_client_id(host: str) -> str:
    """The client ID of `check`. It differs from the agent's, which may be connected at the same time."""
    return f"torchkeeper-{host.replace('.', '-')}-check"


def viewer_connector(mqtt: sections.Mqtt, answer_timeout: float) -> ConnectCollector:
    """The connections of a command that only reads: as fast as those of a collector, without a session that is kept.

    There is no limit on what it receives: it asks for the retained messages of the whole fleet.
    Raises ConfigError if there is no address.
    """
    several = all_options(mqtt, f"torchkeeper-fleet-{secrets.token_hex(4)}")  # a new client ID for each run
    return collector_connector(
        replace(options, largest_incoming=0, answer_timeout=answer_timeout) for options in several
    )


def collector_options(mqtt: sections.Mqtt, identity: str) -> tuple[Options, ...]:
    """The options of the collector with this id, for each address. Raises ConfigError if there is none.

    All of its connections have the same client ID, as the broker keeps its session by that.
    """
    client_id = f"torchkeeper-collector-{identity.replace('.', '-')}"
    return tuple(
        replace(
            options,
            session=COLLECTOR_SESSION,
            receive_maximum=COLLECTOR_RECEIVE_MAXIMUM,
            largest_incoming=LARGEST_FOR_COLLECTOR,
        )
        for options in all_options(mqtt, client_id)
    )


@asynccontextmanager
async def connect(options: Options, will: Message | None = None) -> AsyncIterator[Connection]:
    """A connection for the block. Leaving it disconnects cleanly, so the will is not published.

    Raises LoginRefused or another BrokerUnavailable, whose message names the broker and what to do.
    """
    async with _client(Addresses([options], Client), will) as client:
        yield _Connection(client)


def connector(several: Iterable[Options], shuffle: Callable[[list[Options]], None] = random.shuffle) -> Connect:
    """Like `connect`, for all the addresses of one broker; it keeps what it learns about them.

    They are shuffled once, so that the hosts of a fleet use different ones; after each failure the next one is tried.
    """
    return partial(_connected, Addresses(_shuffled(several, shuffle), Client))


def collector_connector(
    several: Iterable[Options], shuffle: Callable[[list[Options]], None] = random.shuffle
) -> ConnectCollector:
    """Like `connector`, for a collector."""
    return partial(_collecting, Addresses(_shuffled(several, shuffle), CollectorClient))


def _shuffled(several: Iterable[Options], shuffle: Callable[[list[Options]], None]) -> list[Options]:
    order = list(several)
    shuffle(order)
    return order


@asynccontextmanager
async def _connected(addresses: Addresses[Client], will: Message | None) -> AsyncIterator[Connection]:
    async with _client(addresses, will) as client:
        yield _Connection(client)


@asynccontextmanager
async def _collecting(
    addresses: Addresses[CollectorClient], will: Message | None
) -> AsyncIterator[CollectorConnection]:
    async with _client(addresses, will) as client:
        yield _CollectorConnection(client)


@asynccontextmanager
async def _client(addresses: Addresses[C], will: Message | None) -> AsyncIterator[C]:
    client = await addresses.open(will)
    try:
        yield client
    except BrokerUnavailable:
        addresses.go_on()
        raise
    finally:
        client.close()


class _Sender(Generic[C]):
    """What all connections can do."""

    def __init__(self, client: C) -> None:
        self._client = client

    @property
    def peer(self) -> str:
        return self._client.peer

    @property
    def certificate_expires(self) -> datetime | None:
        return self._client.certificate_expires

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        code = await self._client.send(topic, payloads.packed(payload) if self._client.compress else payload, retain)
        if code.value >= _REFUSAL:
            raise PublishRefused(code.value, f"{code} (topic {topic})")

    async def subscribe(self, topic: str, qos: Literal[0, 1] = 1) -> None:
        codes = await self._client.request(topic, qos)
        if any(code.value >= _REFUSAL for code in codes):
            raise SubscribeRefused(f"{self._client.name}: the broker refused the subscription to {topic}: {codes[0]}")


class _Connection(_Sender[Client]):
    async def messages(self) -> AsyncIterator[Message]:
        try:
            while True:
                message = await self._client.next_message()
                yield Message(str(message.topic), bytes(message.payload), message.retain)
        except aiomqtt.MqttError:
            raise self._client.lost() from None


class _CollectorConnection(_Sender[CollectorClient]):
    @property
    def waiting(self) -> int:
        return self._client.waiting

    async def take(self, most: int, most_bytes: int) -> list[Delivery]:
        return await self._client.take(most, most_bytes)

    def take_waiting(self, most: int, most_bytes: int) -> list[Delivery]:
        return self._client.take_waiting(most, most_bytes)

    def acknowledge(self, taken: Iterable[Delivery]) -> None:
        self._client.acknowledge(taken)
