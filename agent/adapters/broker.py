"""The broker: one connection at a time, with acknowledged publishes.

A fresh client serves each connection: a reused one resends by itself what the last one had in flight.
"""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from agent import config
from agent.adapters.broker_contract import (
    NOT_AUTHORIZED,
    PACKET_TOO_LARGE,
    PAYLOAD_INVALID,
    TOPIC_INVALID,
    BrokerUnavailable,
    Connection,
    Flooded,
    LoginRefused,
    Message,
    Options,
    PublishRefused,
    SubscribeRefused,
)
from agent.adapters.mqtt_client import Client
from agent.core import wire

__all__ = [
    "NOT_AUTHORIZED",
    "PACKET_TOO_LARGE",
    "PAYLOAD_INVALID",
    "TOPIC_INVALID",
    "BrokerUnavailable",
    "Connect",
    "Connection",
    "Flooded",
    "LoginRefused",
    "Message",
    "Options",
    "PublishRefused",
    "SubscribeRefused",
    "agent_client_id",
    "connect",
    "options",
    "viewer_client_id",
]

PORT, TLS_PORT = 1883, 8883
_LOGIN_CODES = {134, NOT_AUTHORIZED, 138, 140}  # bad name or password, not authorized, banned, bad method
_REFUSAL = 128  # reason codes from here on say no

Connect = Callable[[Message | None], AbstractAsyncContextManager[Connection]]  # takes the will


def options(mqtt: config.Mqtt, client_id: str) -> Options:
    """The options for `[mqtt]`. Raises ConfigError where the keys contradict each other."""
    if not mqtt.url:
        raise config.ConfigError("mqtt.url: is empty; set it to mqtt://host[:port] or mqtts://host[:port]")
    parts = urlsplit(mqtt.url)
    try:
        port = parts.port
    except ValueError:
        raise config.ConfigError(f"mqtt.url: {mqtt.url!r} has a port above 65535") from None
    tls = parts.scheme == "mqtts"
    if not tls and (mqtt.ca_file or mqtt.cert_file or mqtt.key_file):
        raise config.ConfigError("mqtt.url: is not encrypted, yet certificates are set; write mqtts://")
    if mqtt.password_file and not mqtt.username:
        raise config.ConfigError("mqtt.username: is empty, yet mqtt.password_file is set; set both")
    return Options(
        host=parts.hostname or "",
        port=(TLS_PORT if tls else PORT) if port is None else port,
        client_id=client_id,
        tls=tls,
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
    """The client id of an agent. Two agents with one name differ by their own ids."""
    return f"torchkeeper-{host}-{agent_id.replace('-', '')[:8]}"


def viewer_client_id() -> str:
    """A client id of its own for each run of a command that only looks."""
    return f"torchkeeper-fleet-{secrets.token_hex(4)}"


@asynccontextmanager
async def connect(options: Options, will: Message | None = None) -> AsyncIterator[Connection]:
    """A connection for as long as the block lasts; leaving it says goodbye, so the will is not published.

    Raises LoginRefused or another BrokerUnavailable, whose message names the broker and the way out.
    """
    client = await _open(options, will)
    try:
        yield _Connection(client, options)
    finally:
        client.close()


async def _open(options: Options, will: Message | None) -> Client:
    password = await asyncio.to_thread(_read_password, options)
    context = await asyncio.to_thread(_tls_context, options)
    client = Client(options, password, context, will)
    try:
        await client.__aenter__()
    except aiomqtt.exceptions.MqttConnectError as error:
        client.close()
        raise _refused_login(error, options) from None
    except (aiomqtt.MqttError, ValueError) as error:  # ValueError: a host name that is none
        client.close()
        raise BrokerUnavailable(f"{options.name}: {error}; is it running, and is mqtt.url right?") from None
    except BaseException:
        client.close()
        raise
    return client


def _refused_login(error: aiomqtt.exceptions.MqttConnectError, options: Options) -> BrokerUnavailable:
    code = error.rc.value if isinstance(error.rc, ReasonCode) else error.rc
    if code not in _LOGIN_CODES:
        return BrokerUnavailable(f"{options.name}: the broker refused the connection: {error}")
    who = f"user {options.username!r}" if options.username else "a client without a user name"
    return LoginRefused(
        f"{options.name}: the broker refused {who}: {error}; check mqtt.username and mqtt.password_file"
    )


def _read_password(options: Options) -> str | None:
    """Read at each connect: a rotated secret needs no restart. One newline at the end is the editor's."""
    if not options.password_file:
        return None
    try:
        text = Path(options.password_file).read_bytes().decode()
    except (OSError, ValueError) as error:  # the text of a decoding error would show the secret
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise LoginRefused(f"mqtt.password_file: {options.password_file}: {reason}") from None
    return text.removesuffix("\n").removesuffix("\r")


def _tls_context(options: Options) -> ssl.SSLContext | None:
    if not options.tls:
        return None
    key = "mqtt.ca_file"
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
        key = "mqtt.cert_file, mqtt.key_file"
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file or None, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise LoginRefused(f"{key}: cannot be used: {error}") from None
    return context


def _no_passphrase() -> str:
    """Asked for where the key is encrypted; without this, OpenSSL would ask on the terminal."""
    raise ValueError("the key is locked; store it without a passphrase")


class _Connection:
    def __init__(self, client: Client, options: Options) -> None:
        self._client = client
        self._name = options.name
        self._compress = options.compress

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        code = await self._client.send(topic, wire.packed(payload) if self._compress else payload, retain)
        if code.value >= _REFUSAL:
            raise PublishRefused(code.value, f"{code} (topic {topic})")

    async def subscribe(self, topic: str) -> None:
        codes = await self._client.ask(topic)
        if any(code.value >= _REFUSAL for code in codes):
            raise SubscribeRefused(f"{self._name}: the broker refused to let us read {topic}: {codes[0]}")

    async def messages(self) -> AsyncIterator[Message]:
        try:
            while True:
                message = await self._client.next_message()
                yield Message(str(message.topic), bytes(message.payload), message.retain)
        except aiomqtt.MqttError:
            raise self._client.lost() from None
