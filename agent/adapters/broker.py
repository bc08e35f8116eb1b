"""The contract of a connection to an MQTT broker: its methods, messages, options and errors."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

ANSWER_TIMEOUT = 10.0  # seconds, for any one acknowledgement
LARGEST_INCOMING = 256 * 1024  # bytes per packet; acknowledgements, statuses and control documents are far smaller
NOT_AUTHORIZED = 135
PACKET_TOO_LARGE = 149
PAYLOAD_INVALID = 153
TOPIC_INVALID = 144


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or the connection is lost. Transient: try again.

    The message has both what is wrong (`detail`) and, where that is known, what to do (`hint`).
    """

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(f"{detail}; {hint}" if hint else detail)
        self.detail = detail
        self.hint = hint


class LoginRefused(BrokerUnavailable):
    """The broker refuses the login; trying again does not help until somebody changes the configuration."""


class Flooded(BrokerUnavailable):
    """The broker sent far more than the agent subscribes to, so the client ended the connection."""


class PublishRefused(Exception):
    """The broker does not accept this message. `code` is the MQTT 5 reason code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"[code:{code}] {reason}")
        self.code = code


class SubscribeRefused(Exception):
    """The broker refuses a subscription."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, sent or received. A received message with `retain` is older than the subscription."""

    topic: str
    payload: bytes
    retain: bool = False


class Connection(Protocol):
    """An open connection. Every method raises BrokerUnavailable as soon as the connection is lost."""

    @property
    def certificate_expires(self) -> datetime | None:
        """When the broker's certificate expires; None without TLS."""
        ...

    @property
    def peer(self) -> str:
        """The broker and the version of MQTT in use, like `mqtt://broker:1883, MQTT 5`."""
        ...

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1, and return once the broker has acknowledged. Calls started in order are sent in order.

        Raises PublishRefused if the broker rejects the message. With MQTT 3.1.1 brokers drop such messages silently.
        """
        ...

    async def subscribe(self, topic: str, qos: Literal[0, 1] = 1) -> None:
        """Subscribe to a topic filter. With QoS 0 nothing is acknowledged. Raises SubscribeRefused.

        Some brokers, mosquitto included, grant a filter and then withhold its messages.
        """
        ...

    def messages(self) -> AsyncIterator[Message]:
        """The received messages, endlessly and in order, for one reader at a time. Raises Flooded if too many come."""
        ...


Connect = Callable[[Message | None], AbstractAsyncContextManager[Connection]]  # takes the will


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a collector received. With a `receipt`, the broker delivers it again until it is acknowledged."""

    topic: str
    payload: bytes
    retain: bool = False  # it is older than the subscription
    receipt: int = 0  # 0: there is nothing to acknowledge


class CollectorConnection(Protocol):
    """A connection with a session that the broker keeps, and with messages that are acknowledged by hand.

    It reads from the network only while few messages wait to be taken, so that a burst waits in the broker and not in
    the memory of this process. Every method but `acknowledge` raises BrokerUnavailable once the connection is lost.
    """

    @property
    def peer(self) -> str:
        """As of a `Connection`."""
        ...

    @property
    def waiting(self) -> int:
        """How many received messages are not taken yet."""
        ...

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """As of a `Connection`."""
        ...

    async def subscribe(self, topic: str, qos: Literal[0, 1] = 1) -> None:
        """Subscribe to a topic filter. With QoS 0 nothing is kept while the collector is away. Raises SubscribeRefused.

        The kept session has its subscriptions from before; subscribing again makes the broker send what is retained.
        """
        ...

    async def take(self, most: int, most_bytes: int) -> list[Delivery]:
        """Wait for a message, and take those that are there in their order: one, or as many as the limits allow.

        What was received before the connection was lost is still taken.
        """
        ...

    def take_waiting(self, most: int, most_bytes: int) -> list[Delivery]:
        """As `take`, without waiting; an empty list if nothing is there."""
        ...

    def acknowledge(self, taken: Iterable[Delivery]) -> None:
        """Acknowledge messages. On a lost connection this does nothing: the broker delivers them again."""
        ...


ConnectCollector = Callable[[Message | None], AbstractAsyncContextManager[CollectorConnection]]  # takes the will


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The broker's address and our credentials. Contains paths of secrets, never a secret itself."""

    host: str
    port: int
    client_id: str
    tls: bool = False
    path: str = ""  # of WebSockets, like `/mqtt`; "": TCP without WebSockets
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    version: Literal["auto", "5", "3.1.1"] = "5"
    keepalive: int = 15  # seconds; the broker ends a connection that is silent for 1.5 times as long
    compress: bool = False  # compress each payload that becomes shorter
    largest_incoming: int = LARGEST_INCOMING  # bytes per packet; 0: no limit on size and number
    answer_timeout: float = ANSWER_TIMEOUT
    session: int = (
        0  # seconds for which the broker keeps the session of a lost connection; 0: each one has a new session
    )
    receive_maximum: int = 0  # messages that the broker may send without acknowledgement (MQTT 5); 0: no limit

    @property
    def name(self) -> str:
        """The broker's URL, like `mqtts://broker:8883` or `wss://broker:443/mqtt`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ws' if self.path else 'mqtt'}{'s' if self.tls else ''}://{host}:{self.port}{self.path}"
