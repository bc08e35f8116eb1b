"""A collector that tests can kill: it commits each event, then sends the PUBACK, then publishes a retained watermark.

It accepts a number only after all before it have come or are listed in a `torchkeeper.dropped` event. It ignores an
earlier one, so the agent has to send that again. `Collector` runs it as a process of its own, which is
`python -m tests.collector PORT DATABASE`; `Received` reads its events, also while it runs.
"""

import json
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.core.protocol import payloads
from agent.core.protocol.topics import PROBE
from tests.support import proc

ROOT = "torchkeeper/v1"
NAME = "main"  # the collector whose acknowledgements count by default
SESSION = 3600  # seconds for which the broker keeps messages that a subscriber misses
SUBSCRIBED = "subscribed"  # printed by the process each time it has subscribed
TABLES = """
CREATE TABLE IF NOT EXISTS received (
    host TEXT, epoch TEXT, seq INTEGER, event TEXT, times INTEGER DEFAULT 1, PRIMARY KEY (host, epoch, seq)
);
CREATE TABLE IF NOT EXISTS named (
    host TEXT, epoch TEXT, first INTEGER, last INTEGER, UNIQUE (host, epoch, first, last)
);
CREATE TABLE IF NOT EXISTS reached (host TEXT, epoch TEXT, seq INTEGER, early INTEGER, PRIMARY KEY (host, epoch));
"""

Source = tuple[str, str]  # host, epoch


class Received:
    """Events by (host, epoch, seq), each once, with the number of times that it came."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(TABLES)

    def take(self, event: Mapping[str, Any]) -> Source:
        """Commit an event if it is the next one. Returns its source."""
        data = event["data"]
        source, seq = (event["source"].partition("/")[2], data["epoch"]), data["seq"]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._do("INSERT INTO reached VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING", *source)
            for first, last in data.get("ranges", ()):  # numbers that will never be sent
                self._do("INSERT INTO named VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", *source, first, last)
            reached = self._past(source, self.watermark(*source))
            if seq <= reached + 1:
                self._do(
                    "INSERT INTO received (host, epoch, seq, event) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET times = times + 1",
                    *(*source, seq, json.dumps(event)),
                )
                reached = self._past(source, max(seq, reached))
            self._do(
                "UPDATE reached SET seq = ?, early = early + ? WHERE host = ? AND epoch = ?",
                *(reached, seq > reached, *source),
            )
        return source

    def watermark(self, host: str, epoch: str) -> int:
        """The number up to which all events have come or are listed as dropped."""
        found = self._do("SELECT seq FROM reached WHERE host = ? AND epoch = ?", host, epoch)
        return int(found[0][0]) if found else 0

    def sources(self) -> list[Source]:
        return self._do("SELECT host, epoch FROM reached")

    def events(self) -> dict[tuple[str, str, int], dict[str, Any]]:
        """The accepted events, in order."""
        found = self._do("SELECT host, epoch, seq, event FROM received ORDER BY rowid")
        return {(host, epoch, seq): json.loads(event) for host, epoch, seq, event in found}

    def named(self) -> list[tuple[int, int]]:
        """The numbers that `dropped` events listed, as ranges in ascending order."""
        return self._do("SELECT first, last FROM named ORDER BY first")

    def duplicates(self) -> int:
        """How many events came again."""
        return int(self._do("SELECT coalesce(sum(times - 1), 0) FROM received")[0][0])

    def early(self) -> int:
        """How many events came before one that was still missing."""
        return int(self._do("SELECT coalesce(sum(early), 0) FROM reached")[0][0])

    def copy_to(self, path: Path) -> None:
        """Write a backup, which can replace the file to restore it."""
        self._do("VACUUM INTO ?", str(path))

    def close(self) -> None:
        self._db.close()

    def _past(self, source: Source, seq: int) -> int:
        """The last of the listed numbers that directly follow this one; this one if there are none."""
        query = "SELECT max(last) FROM named WHERE host = ? AND epoch = ? AND first <= ? AND last > ?"
        while last := self._do(query, *source, seq + 1, seq)[0][0]:
            seq = last
        return seq

    def _do(self, query: str, *values: object) -> list[Any]:
        return self._db.execute(query, values).fetchall()


class Collector(proc.Daemon):
    """The collector as a process, which can be killed and started again."""

    def __init__(self, port: int, folder: Path) -> None:
        self.database = folder / "collector.db"
        argv = [sys.executable, "-m", "tests.support.collector", str(port), str(self.database)]
        super().__init__(argv, folder / "collector.log", os.environ | {"PYTHONPATH": str(proc.ROOT)})

    def start_subscribed(self) -> None:
        """Start it, and wait until it has subscribed."""
        before = self.output().count(SUBSCRIBED)
        self.start()
        self.wait_until(lambda: self.output().count(SUBSCRIBED) > before)

    def restore(self, backup: Path) -> None:
        """Kill it, and replace its data by an older copy."""
        self.kill()
        for suffix in ("-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        backup.replace(self.database)


@contextmanager
def running(port: int, folder: Path) -> Iterator[Collector]:
    """Run a collector for the block, in this folder; it reconnects by itself when the broker is back."""
    collector = Collector(port, folder)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def make_client(name: str, topic: str) -> Client:
    """A client that reconnects by itself, and subscribes to a topic filter at each connect."""
    client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
    client.reconnect_delay_set(min_delay=1, max_delay=1)

    def subscribe(at: Client, _data: object, _flags: ConnectFlags, _code: ReasonCode, _: Properties | None) -> None:
        at.subscribe(topic, qos=1)

    client.on_connect = subscribe
    return client


def kept_session() -> Properties:
    """Properties for `connect` with `clean_start=False`: the broker then keeps missed messages."""
    keep = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    keep.SessionExpiryInterval = SESSION
    return keep


def collect(port: int, database: Path) -> None:
    """Collect until killed."""
    received = Received(database)
    client = make_client("collector", f"{ROOT}/hosts/+/events")

    def acknowledge(host: str, epoch: str) -> None:
        word = {"collector": NAME, "epoch": epoch, "seq": received.watermark(host, epoch)}
        client.publish(f"{ROOT}/control/{host}/ack", json.dumps(word), qos=1, retain=True)

    def subscribed(*_: object) -> None:
        for source in received.sources():  # a broker that was killed has lost them
            acknowledge(*source)
        print(SUBSCRIBED, flush=True)

    def took(_: Client, _data: object, message: MQTTMessage) -> None:
        if message.payload != PROBE:
            event = json.loads(payloads.unpacked(bytes(message.payload)))
            acknowledge(*received.take(event))  # the PUBACK follows when this returns

    client.on_subscribe, client.on_message = subscribed, took
    client.connect_async("127.0.0.1", port, clean_start=False, properties=kept_session())
    client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    collect(int(sys.argv[1]), Path(sys.argv[2]))
