"""A small collector: a second user of the broker, who keeps what the fleet retains and every event in its order."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from paho.mqtt.client import MQTTMessage

from agent.core.protocol import payloads as wire
from agent.core.protocol.topics import PROBE
from tests.support import mosquitto, proc
from tests.support.collector import kept_session, make_client

Json = dict[str, Any]

ROOT = "torchkeeper/v1/hosts"
USER, PASSWORD = "collector", "collects"


class AcceptanceCollector:
    """What one subscriber to `hosts/#` knows; filled by a thread of the client library's."""

    def __init__(self) -> None:
        self.latest: dict[str, bytes] = {}  # topic below `hosts/` -> the last payload that is not an event
        self.found: set[str] = set()  # topics that were there, retained, before we came
        self.said: list[tuple[str, bytes]] = []  # every message that is not an event, in order
        self._events: dict[str, Json] = {}
        self._lock = threading.Lock()

    def take(self, message: MQTTMessage) -> None:
        topic, payload = message.topic.removeprefix(f"{ROOT}/"), wire.unpacked(bytes(message.payload))
        with self._lock:
            if topic.endswith("/events"):
                if payload == PROBE:
                    return
                event = json.loads(payload)
                self._events.setdefault(event["id"], event)  # at least once: the id tells a duplicate
                return
            self.latest[topic] = payload
            self.said.append((topic, payload))
            if message.retain and payload:
                self.found.add(topic)

    def read(self, topic: str) -> Json:
        """The last payload of a topic such as `gpu-01/status`; empty where there is none, or it was cleared."""
        with self._lock:
            payload = self.latest.get(topic, b"")
        return dict(json.loads(payload)) if payload else {}

    def states(self, host: str) -> list[tuple[str, int]]:
        """Every (state, session) that a host's status had, in order."""
        with self._lock:
            payloads = [payload for topic, payload in self.said if topic == f"{host}/status" and payload]
        return [(status["state"], status["session"]) for status in map(json.loads, payloads)]

    def alerts(self, host: str) -> set[str]:
        """The ids of the alerts that stand."""
        with self._lock:
            return {topic.rpartition("/")[2] for topic, payload in self.latest.items()
                    if topic.startswith(f"{host}/alerts/") and payload}  # fmt: skip

    def events(self, kind: str = "", subject: str = "") -> list[Json]:
        """Events in the order of their arrival: of one kind (`decision`), and about one image."""
        with self._lock:
            known = list(self._events.values())
        return [
            event
            for event in known
            if kind in ("", event["type"].removeprefix("torchkeeper.")) and subject in ("", event["subject"])
        ]

    def await_event(self, kind: str, subject: str = "", timeout: float = proc.PATIENCE) -> Json:
        """The first event of a kind about an image."""
        return proc.eventually(lambda: self.events(kind, subject), timeout)[0]

    def await_state(self, host: str, state: str, timeout: float = proc.PATIENCE) -> Json:
        """A host's status, once it says `state`."""
        proc.eventually(lambda: self.read(f"{host}/status").get("state") == state, timeout)
        return self.read(f"{host}/status")

    def await_image(
        self, host: str, image: str, ready: Callable[[Json], object], timeout: float = proc.PATIENCE
    ) -> Json:
        """An image in a host's inventory, once `ready` holds of it."""

        def look() -> Json | None:
            images = self.read(f"{host}/inventory").get("images", [])
            return next((item for item in images if item["id"] == image and ready(item)), None)

        found = proc.eventually(look, timeout)
        assert found is not None
        return found


@contextmanager
def collecting(broker: mosquitto.Mosquitto, session: str = "collector") -> Iterator[AcceptanceCollector]:
    """A collector that is subscribed before the block begins, and comes back by itself when the broker does."""
    collector, subscribed = AcceptanceCollector(), threading.Event()
    client = make_client(session, f"{ROOT}/#")
    client.username_pw_set(USER, PASSWORD)
    client.on_message = lambda _client, _data, message: collector.take(message)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(broker.host, broker.port, clean_start=False, properties=kept_session())
    client.loop_start()
    try:
        assert subscribed.wait(proc.PATIENCE)
        yield collector
    finally:
        client.disconnect()
        client.loop_stop()
