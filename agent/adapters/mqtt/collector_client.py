"""The client of a collector: it reads only as fast as its messages are taken, and acknowledges them by hand.

Receive Maximum does not bound what a broker sends: after each acknowledgement mosquitto 2.0 sends as many messages
again as may be unacknowledged in all. So a burst would fill the memory. While too much waits, this client does not read
its socket; then the broker waits as well.
"""

import asyncio
import ssl
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from paho.mqtt.client import PUBACK, PUBLISH
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from agent.adapters.broker import Delivery, Message, Options
from agent.adapters.mqtt.client import Client
from agent.adapters.mqtt.incoming import IncomingLimit

# If these were much lower, the broker would often wait for us: with 1000 messages the rate is half. And of what waits
# there mosquitto drops all above 1000 messages, if nobody has configured it, so that hosts must send it again.
MOST_WAITING = 10_000  # messages that wait to be taken, before reading pauses; it goes on below half of that
MOST_WAITING_BYTES = 8_000_000
READ_AHEAD = 65_536  # bytes that are read at once; paho by itself reads each packet in at least three pieces
RETAIN = 0x01  # in the first byte of a packet
PACKETS_AT_ONCE = 100  # before other tasks may run
# Seconds. An answer stands behind all messages that wait in the broker; that the broker is alive, the pings show.
ANSWER_TIMEOUT = 600.0


class CollectorClient(Client):
    """The client with these additions.

    - Received messages wait as deliveries, which are small.
    - Reading pauses while many wait. Pings go on, and their answers are not missed meanwhile.
    - Messages with QoS 1 are acknowledged only by `acknowledge`.
    - Whatever the socket has is read at once, and decoded without what a collector does not need. Paho makes objects of
      the properties and topics of each message, which takes half of the time of a burst.
    - An answer may take as long as the messages before it.
    """

    def __init__(
        self, options: Options, password: str | None, context: ssl.SSLContext | None, will: Message | None
    ) -> None:
        super().__init__(options, password, context, will)
        self._client._handle_publish = self._take_publish  # type: ignore[method-assign]
        self._has_properties = options.version == "5"
        self._deliveries: deque[Delivery] = deque()
        self._bytes = 0  # of the payloads that wait
        self._arrived = asyncio.Event()
        self._disconnected.add_done_callback(lambda _: self._arrived.set())
        self._paused = False
        self._ahead, self._at = b"", 0  # what was read from the socket, and how much of it paho has taken
        self._receive_now: Callable[[int], bytes] = self._receive
        self._receive = self._receive_ahead

    @property
    def waiting(self) -> int:
        """How many messages are not taken yet."""
        return len(self._deliveries)

    async def take(self, most: int, most_bytes: int) -> list[Delivery]:
        """As of a `CollectorConnection`."""
        while not self._deliveries:
            if self._disconnected.done():
                raise self.lost()
            self._arrived.clear()
            await self._arrived.wait()
        return self.take_waiting(most, most_bytes)

    def take_waiting(self, most: int, most_bytes: int) -> list[Delivery]:
        """As of a `CollectorConnection`."""
        taken: list[Delivery] = []
        while self._deliveries and len(taken) < most and (most_bytes > 0 or not taken):
            delivery = self._deliveries.popleft()
            most_bytes -= len(delivery.payload)
            self._bytes -= len(delivery.payload)
            taken.append(delivery)
        if self._paused and len(self._deliveries) < MOST_WAITING // 2 and self._bytes < MOST_WAITING_BYTES // 2:
            self.resume_reading()
        return taken

    def acknowledge(self, taken: Iterable[Delivery]) -> None:
        """Send the acknowledgements of all of these at once; one by one, each would be a system call."""
        packets = b"".join(struct.pack("!BBH", PUBACK, 2, one.receipt) for one in taken if one.receipt)
        if packets and self._client.socket() is not None:
            self._client._packet_queue(PUBACK, packets, 0, 1)

    def pause_reading(self) -> None:
        """Stop reading from the socket, whatever arrives."""
        self._paused = True
        sock = self._client.socket()
        if sock is not None and sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())

    def resume_reading(self) -> None:
        """Read again, first what was read from the socket before: asyncio does not see that it waits."""
        self._paused = False
        sock = self._client.socket()
        if sock is not None and sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._read)
            self._loop.call_soon(self._read)

    def _limit_incoming(self, largest: int) -> IncomingLimit | None:
        """Not for a collector: it asked for everything, and what it does not read waits in the broker."""
        return None

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Any = None
    ) -> None:
        super()._on_connect(client, userdata, flags, reason_code, properties)
        self.timeout = ANSWER_TIMEOUT

    def _take_publish(self) -> MQTTErrorCode:
        """Take in the packet of a message. Paho calls this instead of its own; it acknowledges nothing."""
        packet = self._client._in_packet
        self._take_message(packet["command"], bytes(packet["packet"]))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _take_read_ahead(self) -> bool:
        """Take in the next packet without paho, if it is a message and was read whole. Paho takes all others."""
        data, at = self._ahead, self._at
        if at + 5 > len(data) or data[at] & 0xF0 != PUBLISH or self._client._in_packet["command"]:
            return False
        length, begin = _read_length(data, at + 1)
        if begin + length > len(data):
            return False
        self._at = begin + length
        self._take_message(data[at], data[begin : self._at])
        return True

    def _take_message(self, command: int, packet: bytes) -> None:
        """Decode a message. `packet`: what follows its length."""
        end = 2 + int.from_bytes(packet[:2], "big")  # of the topic
        topic, qos, receipt = packet[2:end].decode(errors="replace"), command >> 1 & 3, 0
        if qos:
            receipt = int.from_bytes(packet[end : end + 2], "big")
            end += 2
        if self._has_properties:
            length, end = _read_length(packet, end)
            end += length
        if end > len(packet) or qos > 1:
            raise ConnectionError("a message is malformed, or has a QoS above that of the subscription")
        self._deliver(Delivery(topic, packet[end:], bool(command & RETAIN), receipt))

    def _deliver(self, delivery: Delivery) -> None:
        self._deliveries.append(delivery)
        self._bytes += len(delivery.payload)
        self._arrived.set()
        if not self._paused and (len(self._deliveries) >= MOST_WAITING or self._bytes >= MOST_WAITING_BYTES):
            self.pause_reading()

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        """Paho calls this in the thread that connects."""
        self.opened = True
        self._loop.call_soon_threadsafe(self._begin_reading, sock)

    def _begin_reading(self, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.add_reader(sock.fileno(), self._read)
            self._misc_task = self._loop.create_task(self._misc_loop())

    def _read(self) -> None:
        """Handle the packets that are there, until reading pauses."""
        try:
            for _ in range(PACKETS_AT_ONCE):
                if self._paused:
                    return
                if not self._take_read_ahead():
                    self._client.loop_read()
                if not self._has_more():
                    return
        except Exception as error:  # the connection broke
            if not self._disconnected.done():
                self._disconnected.set_exception(error)
            return
        self._loop.call_soon(self._read)

    def _has_more(self) -> bool:
        """Whether bytes wait that make no socket readable: what was read ahead, and what TLS has decrypted."""
        sock = self._client.socket()
        if sock is None:
            return False
        pending = getattr(sock, "pending", None)  # of a socket with TLS, and of a WebSocket
        return self._at < len(self._ahead) or (pending is not None and pending() > 0)

    def _receive_ahead(self, size: int) -> bytes:
        if self._at == len(self._ahead):
            self._ahead, self._at = self._receive_now(max(size, READ_AHEAD)), 0
        part = self._ahead[self._at : self._at + size]
        self._at += len(part)
        return part

    async def _misc_loop(self) -> None:
        """Send pings. While reading is paused, their answers are not read, which must not look like a dead broker."""
        while True:
            if self._paused:
                self._client._ping_t = 0
            if self._client.loop_misc() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            await asyncio.sleep(1)


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """A length of 1 to 4 bytes, and where it ends. Raises IndexError where the data end before, and ConnectionError."""
    length = 0
    for shift in (0, 7, 14, 21):
        length += (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return length, at
    raise ConnectionError("a length of more than 4 bytes")
