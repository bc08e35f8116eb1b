"""The contract of a connection to an MQTT broker: its methods, messages, options and errors."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

ANSWER_TIMEOUT = 10.0  # seconds, for any one acknowledgement
LARGEST_INCOMING = 256 * 1024  # bytes per packet; acknowledgements, statuses and control documents are far smaller
NOT_AUTHORIZED = 135
PACKET_TOO_LARGE = 149
PAYLOAD_INVALID = 153
TOPIC_INVALID = 144


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or the connection is lost. Transient: try again."""


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
    def peer(self) -> str:
        """The broker and the version of MQTT in use, like `mqtt://broker:1883, MQTT 5`."""
        ...

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1, and return once the broker has acknowledged. Calls started in order are sent in order.

        Raises PublishRefused if the broker rejects the message. With MQTT 3.1.1 brokers drop such messages silently.
        """
        ...

    async def subscribe(self, topic: str) -> None:
        """Subscribe to a topic filter. Raises SubscribeRefused.

        Some brokers, mosquitto included, grant a filter and then withhold its messages.
        """
        ...

    def messages(self) -> AsyncIterator[Message]:
        """The received messages, endlessly and in order, for one reader at a time. Raises Flooded if too many come."""
        ...


Connect = Callable[[Message | None], AbstractAsyncContextManager[Connection]]  # takes the will


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The broker's address and our credentials. Contains paths of secrets, never a secret itself."""

    host: str
    port: int
    client_id: str
    tls: bool = False
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

    @property
    def name(self) -> str:
        """The broker's URL, like `mqtts://broker:8883`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"
