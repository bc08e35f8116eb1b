"""Simulated hosts: they speak the wire format of agents, on one connection for all, and run no engine.

`python -m tests.support.fleet_simulator --port 1883 --hosts 10000 --events 10 --seconds 60` publishes what as many
agents would: births, information and inventories, then decisions and outcomes, which are sent again from the
collector's watermark until it has them all. As there is one connection, a host that dies is one whose `offline` is
published.
"""

import argparse
import json
import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.adapters.broker import Message
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics

PREFIX = "simulated-"  # of each name, so that nobody takes one for a real host
POOL = 200  # different images in the fleet
AT_ONCE = 2000  # messages that the broker has not acknowledged yet
WINDOW = 20  # events of one host above its watermark that are sent again at first, as agents do
RESEND_AFTER = 10.0  # seconds without progress of a watermark; agents wait three times as long
STATUS_EVERY = 60.0  # seconds


@dataclass(slots=True)
class SimulatedHost:
    """One host. Its events have the numbers 1 to `last`: a decision, its outcome, the next decision."""

    name: str
    epoch: str
    session: int = 1
    last: int = 0
    watermark: int = 0
    moved_at: float = 0.0  # when the watermark last rose, or rows were sent again

    @property
    def topics(self) -> Topics:
        return Topics("torchkeeper", self.name)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Simulated hosts, and what each publishes. The same seed makes the same fleet."""

    hosts: tuple[SimulatedHost, ...]
    images: int  # of each host; 15 make an inventory of about 10 kB
    now: datetime
    pool: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def make(cls, hosts: int, images: int = 15, seed: int = 1, now: datetime | None = None) -> "Fleet":
        at = now or datetime.now(UTC)
        chance = random.Random(seed)
        made = tuple(SimulatedHost(f"{PREFIX}{number:05}", f"{chance.getrandbits(64):016x}") for number in range(hosts))
        return cls(made, images, at, tuple(_image(number, at) for number in range(POOL)))

    def status(self, host: SimulatedHost, state: str = "online") -> Message:
        status = payloads.Status.model_validate(
            {"state": state, "session": host.session, "at": self.now, "agent_id": host.epoch}
        )
        return Message(host.topics.status, status.encode(), retain=True)

    def info(self, host: SimulatedHost) -> Message:
        info = payloads.Info(
            host=host.name,
            version="0.1.0",
            engine={"name": host.name, "version": "28.5.2", "driver": "overlay2"},
            agent_id=host.epoch,
            epoch=host.epoch,
            mode="enforce",
            policy={"policy": {"ttl": "7d"}, "pressure": {"high": 0.85}},
            started=self.now,
            at=self.now,
        )
        return Message(host.topics.info, info.encode(), retain=True)

    def inventory(self, host: SimulatedHost) -> Message:
        chance = random.Random(host.name)
        disk = {"total_bytes": 4 * 10**12, "used_bytes": chance.randrange(4 * 10**12), "images_bytes": 10**12}
        inventory = payloads.Inventory.model_validate(
            {"host": host.name, "at": self.now, "disk": disk, "totals": {}, "images": [], "decisions": []}
        )
        images = b",".join(chance.sample(self.pool, self.images))
        return Message(host.topics.inventory, inventory.encode().replace(b"[]", b"[%s]" % images, 1), retain=True)

    def births(self) -> Iterator[Message]:
        """All that the hosts retain."""
        for host in self.hosts:
            yield from (self.status(host), self.info(host), self.inventory(host))

    def event(self, host: SimulatedHost, seq: int) -> Message:
        """A decision (odd numbers), or the outcome of the one before it."""
        number = (seq + 1) // 2
        image = payloads.ImageRef(
            id=_image_id(number % POOL), references=[_reference(number % POOL)], size_bytes=9 * 10**9
        )
        identity = f"{host.epoch}{number:08}"
        data: payloads.EventData = _decision(identity, image) if seq % 2 else _outcome(identity, image)
        event = payloads.event(
            host=host.name,
            epoch=host.epoch,
            seq=seq,
            kind=data.type,
            at=self.now + timedelta(milliseconds=seq),
            subject=image.id,
            data=data.stored(),
        )
        return Message(host.topics.events, event.encode())


class Simulator:
    """Publishes what a fleet says, and follows the collector's watermarks."""

    def __init__(self, fleet: Fleet, port: int, host: str = "127.0.0.1") -> None:
        self.fleet = fleet
        self._hosts = {one.topics.ack: one for one in fleet.hosts}
        self._room = threading.Semaphore(AT_ONCE)
        self._client = Client(CallbackAPIVersion.VERSION2, "simulated-hosts", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.max_inflight_messages_set(AT_ONCE)
        self._client.on_publish = lambda *_: self._room.release()
        self._client.on_message = lambda _client, _data, message: self._acknowledged(message)
        self._client.connect(host, port)
        self._client.loop_start()
        self._client.subscribe("torchkeeper/v1/control/+/ack", qos=1)

    def publish(self, messages: Iterable[Message]) -> None:
        """Publish these with QoS 1."""
        for message in messages:
            self._room.acquire()
            self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)

    def flush(self, timeout: float = 60.0) -> None:
        """Wait until the broker has acknowledged everything. Raises TimeoutError."""
        end = time.monotonic() + timeout
        for _ in range(AT_ONCE):
            if not self._room.acquire(timeout=max(0.01, end - time.monotonic())):
                raise TimeoutError("the broker does not acknowledge what simulated hosts publish")
        for _ in range(AT_ONCE):
            self._room.release()

    def burst(self, events: int) -> None:
        """Let each host publish so many new events, those of all hosts mixed."""
        first = [host.last + 1 for host in self.fleet.hosts]
        for offset in range(events):
            for host, begin in zip(self.fleet.hosts, first, strict=True):
                host.last = begin + offset
                self.publish([self.fleet.event(host, host.last)])

    def confirm(self, timeout: float) -> bool:
        """Send again what the collector lacks, until it has all. Returns whether that happened in time."""
        end = time.monotonic() + timeout
        while missing := [host for host in self.fleet.hosts if host.watermark < host.last]:
            if time.monotonic() > end:
                return False
            for host in missing:
                self._send_again(host)
            time.sleep(0.1)
        return True

    def beat(self) -> None:
        """The status of all hosts, as agents publish it each minute."""
        self.publish(self.fleet.status(host) for host in self.fleet.hosts)

    def close(self) -> None:
        """End without a word; the hosts stay as the broker retains them."""
        self._client.disconnect()
        self._client.loop_stop()

    def _send_again(self, host: SimulatedHost) -> None:
        if time.monotonic() - host.moved_at < RESEND_AFTER:
            return
        host.moved_at = time.monotonic()
        first, last = host.watermark + 1, min(host.last, host.watermark + WINDOW)
        self.publish(self.fleet.event(host, seq) for seq in range(first, last + 1))

    def _acknowledged(self, message: MQTTMessage) -> None:
        ack, host = json.loads(message.payload), self._hosts.get(message.topic)
        if host is None or ack["epoch"] != host.epoch:
            return
        if ack["seq"] > host.watermark:
            # after progress the next rows follow at once, if they were sent before and did not arrive
            host.moved_at = 0.0 if host.moved_at and ack["seq"] < host.last else host.moved_at
        host.watermark = ack["seq"]


def _reference(number: int) -> str:
    return f"registry.example.com/teamai/pytorch:2.{number % 10}-cuda12.{number % 7}-{number}"


def _image_id(number: int) -> str:
    return f"sha256:{number:064x}"


def _image(number: int, now: datetime) -> bytes:
    """An image of an inventory, as JSON."""
    idle = timedelta(hours=number)
    goes = idle > timedelta(days=7)
    return (
        payloads.InventoryImage.model_validate(
            {
                "id": _image_id(number),
                "references": [_reference(number), f"{_reference(number).rpartition(':')[0]}@{_image_id(number)}"],
                "action": "evict" if goes else "keep",
                "reason": "idle-ttl" if goes else "recent",
                "explanation": "idle 7 d, TTL 7 d" if goes else "",
                "class": "pytorch",
                "torch_version": f"2.{number % 10}.0",
                "accelerator": "cuda12.8",
                "last_used": now - idle,
                "last_used_by": f"train-{number}",
                "idle_since": now - idle,
                "deadline": now - idle + timedelta(days=7),
                "size_bytes": 9 * 10**9,
                "estimated_bytes": 4 * 10**9,
            }
        )
        .model_dump_json(by_alias=True)
        .encode()
    )


def _decision(identity: str, image: payloads.ImageRef) -> payloads.DecisionData:
    return payloads.DecisionData(
        decision_id=identity,
        action="evict",
        reason="idle-ttl",
        mode="enforce",
        explanation="idle 15 d 3 h, TTL 7 d; frees about 4.8 GB",
        image=image,
        last_used=None,
        idle_seconds=15 * 86400.0,
        ttl_seconds=7 * 86400.0,
        estimated_bytes=4_800_000_000,
        evidence=["ENV PYTORCH_VERSION=2.9.0"],
    )


def _outcome(identity: str, image: payloads.ImageRef) -> payloads.OutcomeData:
    return payloads.OutcomeData(
        decision_id=identity, outcome="removed", image=image, measured_bytes=4_900_000_000, error=None
    )


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.support.fleet_simulator", description=__doc__)
    options.add_argument("--port", type=int, required=True, help="of the broker on this machine")
    options.add_argument("--hosts", type=int, default=100)
    options.add_argument("--images", type=int, default=15, help="of each host (15: inventories of about 10 kB)")
    options.add_argument("--events", type=int, default=0, help="that each host publishes at once")
    options.add_argument("--quiet", action="store_true", help="publish events only")
    options.add_argument("--unconfirmed", action="store_true", help="publish each event once, and do not wait")
    options.add_argument("--seconds", type=float, default=60.0, help="after which it ends in any case")
    options.add_argument("--stay", action="store_true", help="show signs of life until then")
    given = options.parse_args()
    end = time.monotonic() + given.seconds
    simulator = Simulator(Fleet.make(given.hosts, given.images), given.port)
    if not given.quiet:
        simulator.publish(simulator.fleet.births())
        simulator.flush(given.seconds)
    simulator.burst(given.events)
    simulator.flush(given.seconds)
    confirmed = given.unconfirmed or simulator.confirm(end - time.monotonic())
    while given.stay and time.monotonic() < end:
        simulator.beat()
        time.sleep(min(STATUS_EVERY, max(0.0, end - time.monotonic())))
    simulator.close()
    print(f"{given.hosts} simulated hosts, {given.events} events each, in time: {confirmed}", flush=True)
    return 0 if confirmed else 1


if __name__ == "__main__":
    raise SystemExit(main())
