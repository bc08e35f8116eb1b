"""Limits what one connection may receive, before it is read into memory.

An agent receives little: acknowledgements, its own status, documents of some kilobytes. Without a limit, paho would
read a whole packet of 256 MB, and aiomqtt would queue messages without a bound.
"""

from collections.abc import Callable

from paho.mqtt.client import Client as PahoClient
from paho.mqtt.enums import MQTTErrorCode

from agent.adapters.broker import Flooded

# Bytes received beyond those that our own publishes explain. Each collector acknowledges each event, so each publish
# allows for some answers; so does the status message that is published every minute.
MAX_UNSOLICITED = 16_000_000
ALLOWED_PER_PUBLISH = 200_000  # bytes
MESSAGE_OVERHEAD = 6000  # bytes of memory that a queued message takes beside its payload, most for MQTT 5 properties
_PUBLISH, _QOS_2 = 0x30, 0x04  # bits in the first byte of a packet


class IncomingLimit:
    """Watches one paho client. Raises Flooded, which ends the connection, if packets are too large or too many."""

    def __init__(self, client: PahoClient, largest: int) -> None:
        """`largest`: the most bytes that one packet may have."""
        self._client = client
        self._largest = largest
        self._unsolicited = 0
        self._receive: Callable[[int], bytes] = client._sock_recv
        self._handle = client._packet_handle
        client._sock_recv = self._checked_receive  # type: ignore[method-assign, assignment]
        client._packet_handle = self._counted_handle  # type: ignore[method-assign]

    def published(self) -> None:
        """Record that we published a message, so that answers are expected."""
        self._unsolicited = max(0, self._unsolicited - ALLOWED_PER_PUBLISH)

    def _checked_receive(self, size: int) -> bytes:
        """Check the size of a packet: paho reads its header byte by byte, and then requests the rest in one call."""
        if size > self._largest:
            raise Flooded(f"it sent a packet of {size} bytes; the agent accepts {self._largest}")
        return self._receive(size)

    def _counted_handle(self) -> MQTTErrorCode:
        """Count a received packet; paho calls this once for each complete one."""
        packet = self._client._in_packet
        self._unsolicited += len(packet["packet"]) + MESSAGE_OVERHEAD
        if self._unsolicited > MAX_UNSOLICITED:
            raise Flooded(f"it sent more than {MAX_UNSOLICITED // 1_000_000} MB that the agent did not request")
        if packet["command"] & 0xF0 == _PUBLISH and packet["command"] & _QOS_2:
            # paho would store such messages until the broker releases them; our subscriptions allow QoS 1 at most
            raise Flooded("it sent a message with QoS 2, but the subscription allows QoS 1")
        return self._handle()
