"""An MQTT 5 client with one identity, which reports what the broker answers to each request."""

import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

ANSWER = 30.0  # seconds to wait for an answer
ALLOWED, NOBODY, DENIED = 0, 16, 135  # reason codes; 16: allowed, and nobody is subscribed
V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311


class User:
    """A connected client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._codes: dict[int, int] = {}
        self._answered = threading.Condition()
        self.received: queue.Queue[tuple[str, bytes]] = queue.Queue()
        client.on_publish = self._note_publish
        client.on_subscribe = self._note_subscribe
        client.on_message = self._note_message

    def publish(self, topic: str, payload: str = "{}", *, retain: bool = False) -> int:
        """The reason code with which the broker answers a message with QoS 1; 0 and 16 mean that it took it."""
        return self._answer(self._client.publish(topic, payload, qos=1, retain=retain).mid)

    def may_write(self, topic: str) -> bool:
        code = self.publish(topic)
        assert code in (ALLOWED, NOBODY, DENIED), code
        return code != DENIED

    def subscribe(self, topic: str) -> int:
        """The reason code of the broker's answer: below 128 it says yes, which does not mean that it sends anything."""
        return self._answer(self._client.subscribe(topic, qos=1)[1] or 0)

    def next_topic(self) -> str:
        """The topic of the next message that arrives."""
        return self.received.get(timeout=ANSWER)[0]

    def _answer(self, request: int) -> int:
        with self._answered:
            assert self._answered.wait_for(lambda: request in self._codes, ANSWER), "the broker does not answer"
            return self._codes[request]

    def _note(self, request: int, code: int) -> None:
        with self._answered:
            self._codes[request] = code
            self._answered.notify_all()

    def _note_publish(self, _client: Client, _data: object, request: int, code: Any, _properties: object) -> None:
        self._note(request, code.value)

    def _note_subscribe(self, _client: Client, _data: object, request: int, codes: Any, _properties: object) -> None:
        self._note(request, codes[0].value)

    def _note_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self.received.put((message.topic, bytes(message.payload)))


@contextmanager
def connected(
    port: int,
    credentials: Path | None,
    *,
    ca_file: Path | None = None,
    password: tuple[str, str] | None = None,
    version: MQTTProtocolVersion = V5,
) -> Iterator[User]:
    """A client for the block. `credentials`: a folder with ca.crt, mqtt.crt and mqtt.key, or None for no certificate.

    Raises OSError (an SSLError, too) or ConnectionError if the broker does not take it.
    """
    client = Client(CallbackAPIVersion.VERSION2, protocol=version)
    context = ssl.create_default_context(cafile=ca_file or (credentials / "ca.crt" if credentials else None))
    if credentials:
        context.load_cert_chain(credentials / "mqtt.crt", credentials / "mqtt.key")
    client.tls_set_context(context)
    if password:
        client.username_pw_set(*password)
    ended, answered = threading.Event(), threading.Event()
    codes: list[Any] = []

    def note_connect(_client: Client, _data: object, _flags: object, code: Any, _properties: object) -> None:
        codes.append(code)
        answered.set()

    def note_disconnect(*_: object) -> None:
        ended.set()
        answered.set()

    client.on_connect, client.on_disconnect = note_connect, note_disconnect
    client.reconnect_delay_set(min_delay=60, max_delay=60)
    client.connect("localhost", port)
    client.loop_start()
    try:
        assert answered.wait(ANSWER), "the broker does not answer"
        if not codes or codes[0].is_failure:
            raise ConnectionError(str(codes[0]) if codes else "the broker closed the connection")
        yield User(client)
    finally:
        client.disconnect()
        client.loop_stop()
