"""The broker: one connection at a time, with acknowledged publishes. The only module that knows aiomqtt.

A fresh client serves each connection: a reused one resends by itself what the last one had in flight.
"""

import asyncio
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from agent import config

T = TypeVar("T")

KEEPALIVE = 15  # seconds; the broker takes a silent client for dead after 1.5 times that
CONNECT_TIMEOUT = 5.0  # seconds, for the TCP connection and again for the TLS handshake
ANSWER_TIMEOUT = 10.0  # seconds, for any one acknowledgement
PORT, TLS_PORT = 1883, 8883
NOT_AUTHORIZED = 135
PACKET_TOO_LARGE = 149
TOPIC_INVALID = 144
_LOGIN_CODES = {134, NOT_AUTHORIZED, 138, 140}  # bad name or password, not authorized, banned, bad method
_UNSPECIFIED = 128
_REFUSAL = 128  # reason codes from here on say no
_PACKET_OVERHEAD = 32  # bytes of a PUBLISH beside its topic and payload, rounded up


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or the connection is lost: weather, so try again."""


class LoginRefused(BrokerUnavailable):
    """The broker is there and does not let us in, until a person changes something."""


class PublishRefused(Exception):
    """The broker will never take this message. `code` is the MQTT 5 reason code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"[code:{code}] {reason}")
        self.code = code


class SubscribeRefused(Exception):
    """The broker does not let us read these topics."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, either way. Received, `retain` says that it is from before the subscription."""

    topic: str
    payload: bytes
    retain: bool = False


class Connection(Protocol):
    """An open connection. Every method raises BrokerUnavailable as soon as the connection is lost."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Return once the broker has it (QoS 1). Calls started in order are sent in order.

        Raises PublishRefused where it never will; MQTT 3.1.1 cannot say so, and drops silently.
        """
        ...

    async def subscribe(self, topic: str) -> None:
        """Ask for a topic filter. Some brokers, mosquitto too, grant filters whose messages they withhold."""
        ...

    def messages(self) -> AsyncIterator[Message]:
        """What arrives, endlessly, in order, without a bound on what waits. One reader at a time."""
        ...


Connect = Callable[[Message | None], AbstractAsyncContextManager[Connection]]  # takes the will


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where the broker is and who we are. Holds paths of secrets, never a secret."""

    host: str
    port: int
    client_id: str
    tls: bool = False
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    version: Literal["5", "3.1.1"] = "5"
    answer_timeout: float = ANSWER_TIMEOUT

    @property
    def name(self) -> str:
        """The broker, as people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


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
        yield _Connection(client, options.name)
    finally:
        client.close()


async def _open(options: Options, will: Message | None) -> "_Client":
    password = await asyncio.to_thread(_read_password, options)
    context = await asyncio.to_thread(_tls_context, options)
    client = _Client(options, password, context, will)
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


def _handshake(context: ssl.SSLContext, host: str, tcp: socket.socket) -> ssl.SSLSocket:
    """TLS on an open socket, which is closed where that fails."""
    encrypted = context.wrap_socket(tcp, server_hostname=host, do_handshake_on_connect=False)
    try:
        encrypted.settimeout(CONNECT_TIMEOUT)
        encrypted.do_handshake()
    except BaseException:
        encrypted.close()
        raise
    return encrypted


class _Connection:
    def __init__(self, client: "_Client", name: str) -> None:
        self._client = client
        self._name = name

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        code = await self._client.send(topic, payload, retain)
        if code.value >= _REFUSAL:
            raise PublishRefused(code.value, f"{code} (topic {topic})")

    async def subscribe(self, topic: str) -> None:
        codes = await self._client.ask(topic)
        if any(code.value >= _REFUSAL for code in codes):
            raise SubscribeRefused(f"{self._name}: the broker refused to let us read {topic}: {codes[0]}")

    async def messages(self) -> AsyncIterator[Message]:
        try:
            async for message in self._client.messages:
                yield Message(str(message.topic), bytes(message.payload), message.retain)
        except aiomqtt.MqttError:
            raise self._client.lost() from None


class _Client(aiomqtt.Client):
    """aiomqtt 2.5's client, repaired.

    A publish ends as soon as the connection does, and not after its time-out; the reason code of a PUBACK
    is kept (aiomqtt reports success for what the ACL denied); a connection that ends before it is
    acknowledged is an error at once; a failed TLS handshake closes its socket; a closed socket is not
    watched for writing; and closing never waits.
    """

    def __init__(
        self, options: Options, password: str | None, context: ssl.SSLContext | None, will: Message | None
    ) -> None:
        super().__init__(
            options.host,
            options.port,
            identifier=options.client_id,
            username=options.username or None,
            password=password,
            protocol=_PROTOCOLS[options.version],
            clean_session=None if options.version == "5" else True,
            keepalive=KEEPALIVE,
            timeout=options.answer_timeout,
            tls_context=context,
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.retain) if will else None,
            # with Nagle on either side a publish waits 45 to 90 ms for its acknowledgement
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            max_queued_incoming_messages=0,  # unlimited: a bound would drop what is acknowledged already
        )
        self.pending_calls_threshold = 1000  # only a warning in the log
        self._client.connect_timeout = CONNECT_TIMEOUT
        if context is not None:
            self._client._ssl_wrap_socket = partial(_handshake, context, options.host)  # type: ignore[method-assign]
        self._name = options.name
        self._acks: dict[int, asyncio.Future[ReasonCode]] = {}
        self._largest: int | None = None  # bytes of a packet, where the broker says so
        self._closed = False

    async def send(self, topic: str, payload: bytes, retain: bool) -> ReasonCode:
        """Publish with QoS 1; the reason code of the PUBACK."""
        size = len(topic.encode()) + len(payload) + _PACKET_OVERHEAD
        if self._largest is not None and size > self._largest:
            # sent all the same, it would end the connection and say nothing
            raise PublishRefused(PACKET_TOO_LARGE, f"{size} bytes; the broker takes {self._largest}")
        if not topic or "\0" in topic:
            raise PublishRefused(TOPIC_INVALID, f"the topic {topic!r} is empty or has a NUL")
        try:
            info = self._client.publish(topic, payload, 1, retain)
        except ValueError as error:
            raise PublishRefused(TOPIC_INVALID, f"{error} (topic {topic!r})") from None
        if info.rc != 0:
            raise self.lost()
        answer = self._acks[info.mid] = self._loop.create_future()
        try:
            return await self._first(answer)
        finally:
            self._acks.pop(info.mid, None)

    async def ask(self, topic: str) -> list[ReasonCode]:
        """Subscribe with QoS 1; the reason codes of the SUBACK."""
        asking = asyncio.ensure_future(super().subscribe(topic, qos=1))
        try:
            codes: Any = await self._first(asking)
        except aiomqtt.MqttError:
            raise self.lost() from None
        finally:
            asking.cancel()
        return list(codes)

    async def _first(self, answer: asyncio.Future[T]) -> T:
        """The answer, unless the connection is lost or the broker says nothing for too long."""
        either: set[asyncio.Future[Any]] = {answer, self._disconnected}
        await asyncio.wait(either, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise self.lost()
        return answer.result()

    def lost(self) -> BrokerUnavailable:
        """Why the connection is of no use any more."""
        if not self._disconnected.done():
            return BrokerUnavailable(f"{self._name}: no answer within {self.timeout:g} s")
        error = None if self._disconnected.cancelled() else self._disconnected.exception()
        code = getattr(error, "rc", None)
        silent = error is None or (isinstance(code, ReasonCode) and code.value == _UNSPECIFIED)
        return BrokerUnavailable(f"{self._name}: the connection is lost: {'the broker hung up' if silent else error}")

    def close(self) -> None:
        """Say goodbye if that needs no waiting, and close: at the loop's next turn.

        By then the loop watches the socket, if it was just told to: it must not be told of a closed one.
        """
        self._closed = True
        self._loop.call_soon(self._hang_up)

    def _hang_up(self) -> None:
        self._client.on_disconnect = None  # nobody waits for the answer
        self._client.on_socket_register_write = None  # paho writes at once, instead of asking the loop to
        self._client.disconnect()
        self._client._sock_close()
        for future in (self._connected, self._disconnected):
            if not future.cancel() and not future.cancelled():
                future.exception()  # looked at, so that asyncio does not complain that nobody did

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """May be told in another thread. At the loop's next turn the socket may be closed already."""
        self._loop.call_soon_threadsafe(self._write_when_ready, sock)

    def _write_when_ready(self, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except Exception as error:  # the connection broke
            if not self._disconnected.done():
                self._disconnected.set_exception(error)

    def _client_connect(self) -> None:
        """Runs in a thread that cannot be cancelled: who left meanwhile leaves the closing to it."""
        super()._client_connect()
        if self._closed:
            self._loop.call_soon_threadsafe(self.close)

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Any = None
    ) -> None:
        self._largest = getattr(properties, "MaximumPacketSize", None)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Any = None
    ) -> None:
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        self._loop.call_soon_threadsafe(self._give_up_connecting)

    def _give_up_connecting(self) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("it hung up before it answered"))

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any) -> None:
        answer = self._acks.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reason_code)


_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
