"""The contract of a connection to the broker: what is sent and received, and how it fails."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

ANSWER_TIMEOUT = 10.0  # seconds, for any one acknowledgement
LARGEST_INCOMING = 256 * 1024  # bytes of a packet; an acknowledgement, a status or a control document is far smaller
NOT_AUTHORIZED = 135
PACKET_TOO_LARGE = 149
PAYLOAD_INVALID = 153
TOPIC_INVALID = 144


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or the connection is lost: weather, so try again."""


class LoginRefused(BrokerUnavailable):
    """The broker is there and does not let us in, until a person changes something."""


class Flooded(BrokerUnavailable):
    """The broker sent far more than an agent asks for, so the client ended the connection."""


class PublishRefused(Exception):
    """The broker does not take this message. `code` is the MQTT 5 reason code."""

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

    @property
    def peer(self) -> str:
        """The broker and the version of MQTT in use: `mqtt://broker:1883, MQTT 5`."""
        ...

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Return once the broker has it (QoS 1). Calls started in order are sent in order.

        Raises PublishRefused where it never will; MQTT 3.1.1 cannot say so, and drops silently.
        """
        ...

    async def subscribe(self, topic: str) -> None:
        """Ask for a topic filter. Some brokers, mosquitto too, grant filters whose messages they withhold."""
        ...

    def messages(self) -> AsyncIterator[Message]:
        """The messages received, endlessly, in order, for one reader at a time. Raises Flooded if they are too many."""
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
    version: Literal["auto", "5", "3.1.1"] = "5"
    keepalive: int = 15  # seconds; the broker takes a silent client for dead after 1.5 times that
    compress: bool = False  # compress a payload that gets shorter by it
    largest_incoming: int = LARGEST_INCOMING  # bytes of a packet; 0: no limit on size and number
    answer_timeout: float = ANSWER_TIMEOUT

    @property
    def name(self) -> str:
        """The broker, as people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"
