"""aiomqtt's client with corrections. Only this module, `sockets` and `collector_client` use private parts."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.adapters.broker import (
    PACKET_TOO_LARGE,
    TOPIC_INVALID,
    BrokerUnavailable,
    Flooded,
    Message,
    Options,
    PublishRefused,
)
from agent.adapters.mqtt.errors import HungUp, NotMqtt, TooMuch
from agent.adapters.mqtt.incoming import IncomingLimit
from agent.adapters.mqtt.sockets import CONNECT_TIMEOUT, Sockets

T = TypeVar("T")

_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
_UNSPECIFIED = 128
_FIRST_BYTES = (0x20, 0xE0)  # how a broker's first packet begins: CONNACK, or DISCONNECT
_PACKET_OVERHEAD = 32  # bytes of a PUBLISH beside its topic and payload, rounded up


class Client(aiomqtt.Client):
    """The client of aiomqtt 2.5 with these corrections.

    - A publish fails as soon as the connection ends, not only after its time-out.
    - The reason code of a PUBACK is returned; aiomqtt reports success even if the ACL denied the message.
    - A connection that ends before it is acknowledged, or an answer that is not MQTT, is an error at once.
    - A failed TLS handshake closes its socket.
    - A closed socket is not watched for writing.
    - Closing never waits.
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
            clean_session=None if options.version == "5" else not options.session,
            clean_start=MQTT_CLEAN_START_FIRST_ONLY if options.version != "5" else not options.session,
            keepalive=options.keepalive,
            timeout=options.answer_timeout,
            tls_context=context,
            transport="websockets" if options.path else "tcp",
            websocket_path=options.path or None,
            properties=_properties(options),
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.retain) if will else None,
            # with Nagle's algorithm on either side, a publish waits 45 to 90 ms for its acknowledgement
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            max_queued_incoming_messages=0,  # a bound here drops acknowledged messages; see IncomingLimit
        )
        self.pending_calls_threshold = 1000  # only a warning in the log
        self._client.connect_timeout = CONNECT_TIMEOUT
        self._client._reconnect_on_failure = False  # paho would try MQTT 3.1 by itself, and block the loop
        self._receive: Callable[[int], bytes] = self._client._sock_recv
        self._client._sock_recv = self._receive_mqtt  # type: ignore[method-assign, assignment]
        self._sockets = Sockets(self._client, options.host, context, websocket=bool(options.path))
        self.name = options.name
        self.compress = options.compress
        self.peer = f"{options.name}, MQTT {options.version}"
        self.tls_alert = ""  # OpenSSL's name of the alert with which the broker ended TLS, like CERTIFICATE_EXPIRED
        self.opened = False  # whether the connection is open, including TLS if configured
        self._answered = False  # whether anything was received
        self._not_mqtt = b""  # the beginning of an answer that is not MQTT
        self._acks: dict[int, asyncio.Future[ReasonCode]] = {}
        self._largest: int | None = None  # bytes per packet, if the broker announced a limit
        self._closed = False
        self._disconnected.add_done_callback(lambda _: self._give_up_connecting())
        self._incoming = self._limit_incoming(options.largest_incoming)

    @property
    def certificate_expires(self) -> datetime | None:
        """When the broker's certificate expires; None without TLS."""
        return self._sockets.certificate_expires

    async def send(self, topic: str, payload: bytes, retain: bool) -> ReasonCode:
        """Publish with QoS 1. Returns the reason code of the PUBACK."""
        size = len(topic.encode()) + len(payload) + _PACKET_OVERHEAD
        if self._largest is not None and size > self._largest:
            # if it were sent, the broker would end the connection without a reason
            raise PublishRefused(PACKET_TOO_LARGE, f"{size} bytes; the broker accepts {self._largest}")
        if not topic or "\0" in topic:
            raise PublishRefused(TOPIC_INVALID, f"the topic {topic!r} is empty or contains a NUL")
        try:
            info = self._client.publish(topic, payload, 1, retain)
        except ValueError as error:
            raise PublishRefused(TOPIC_INVALID, f"{error} (topic {topic!r})") from None
        if info.rc != 0:
            raise self.lost()
        if self._incoming is not None:
            self._incoming.published()
        answer = self._acks[info.mid] = self._loop.create_future()
        try:
            return await self._first(answer)
        finally:
            self._acks.pop(info.mid, None)

    async def request(self, topic: str, qos: int = 1) -> list[ReasonCode]:
        """Subscribe. Returns the reason codes of the SUBACK."""
        subscribing = asyncio.ensure_future(super().subscribe(topic, qos=qos))
        try:
            codes: Any = await self._first(subscribing)
        except aiomqtt.MqttError:
            raise self.lost() from None
        finally:
            subscribing.cancel()
        return list(codes)

    async def next_message(self) -> aiomqtt.Message:
        """The next message; without yielding to the event loop if one is queued. Raises MqttError."""
        return await anext(self.messages) if self._queue.empty() else self._queue.get_nowait()

    def _limit_incoming(self, largest: int) -> IncomingLimit | None:
        """What watches the size and the number of received packets, if anything does."""
        return IncomingLimit(self._client, largest) if largest else None

    async def _first(self, answer: asyncio.Future[T]) -> T:
        """Wait for an answer. Raises BrokerUnavailable if the connection is lost or the time-out passes."""
        either: set[asyncio.Future[Any]] = {answer, self._disconnected}
        await asyncio.wait(either, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise self.lost()
        return answer.result()

    def lost(self) -> BrokerUnavailable:
        """The error that says why the connection can no longer be used."""
        if not self._disconnected.done():
            return BrokerUnavailable(f"{self.name}: no answer within {self.timeout:g} s")
        error = self._error()
        if isinstance(error, Flooded):
            return Flooded(f"{self.name}: {error}")
        code = getattr(error, "rc", None)
        silent = error is None or (isinstance(code, ReasonCode) and code.value == _UNSPECIFIED)
        reason = "the broker closed it" if silent else error
        return BrokerUnavailable(f"{self.name}: the connection is lost: {reason}")

    def _error(self) -> BaseException | None:
        """The error that ended the connection; None if it has not ended or gave no reason."""
        done = self._disconnected.done() and not self._disconnected.cancelled()
        return self._disconnected.exception() if done else None

    def close(self) -> None:
        """Schedule the close, with a DISCONNECT if it can be sent without waiting.

        Not at once: a callback that watches the socket may be scheduled already, and must not find it closed.
        """
        self._closed = True
        self._loop.call_soon(self._hang_up)

    def _hang_up(self) -> None:
        self._client.on_disconnect = None  # nothing waits for it any more
        self._client.on_socket_register_write = None  # makes paho write at once instead of by the loop
        self._client.disconnect()
        self._client._sock_close()
        for future in (self._connected, self._disconnected):
            if not future.cancel() and not future.cancelled():
                future.exception()  # retrieved, so that asyncio does not log that it never was

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """Watch the socket for writing. Paho may call this in another thread, and then the socket may close first."""
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

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        self.opened = True
        super()._on_socket_open(client, userdata, sock)

    def _receive_mqtt(self, size: int) -> bytes:
        """Receive, and check that the first byte is MQTT: paho would take an HTTP answer for a packet and wait."""
        try:
            received: bytes = self._receive(size)
        except ssl.SSLError as error:  # with TLS 1.3 the broker rejects a client certificate only after the handshake
            if not isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
                self.tls_alert = error.reason or ""
            raise
        if received and not self._answered:
            self._answered = True
            if received[0] not in _FIRST_BYTES:
                with contextlib.suppress(OSError):
                    received += self._receive(40)
                self._not_mqtt = received
                raise ConnectionError("it does not answer in MQTT")
        return received

    def _client_connect(self) -> None:
        """Connect, in a thread that cannot be cancelled: if the client was closed meanwhile, close again afterwards."""
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
            self._connected.set_exception(self._why_not_connected())

    def _why_not_connected(self) -> aiomqtt.MqttError:
        if isinstance(error := self._error(), Flooded):
            return TooMuch(str(error))
        return NotMqtt(self._not_mqtt) if self._not_mqtt else HungUp()

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reason_codes: Any, properties: Any = None) -> None:
        """Ignore a SUBACK after its time-out; aiomqtt would log a traceback for it."""
        if mid in self._pending_subscribes:
            super()._on_subscribe(client, userdata, mid, reason_codes, properties)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any) -> None:
        answer = self._acks.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reason_code)


def _properties(options: Options) -> Properties | None:
    """Properties of the CONNECT. An MQTT 5 broker does not send packets above the size announced here."""
    wanted = {
        "MaximumPacketSize": options.largest_incoming,
        "SessionExpiryInterval": options.session,
        "ReceiveMaximum": options.receive_maximum,
    }
    if options.version != "5" or not any(wanted.values()):
        return None
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    for name, value in wanted.items():
        if value:
            setattr(properties, name, value)
    return properties
