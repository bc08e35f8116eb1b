"""A collector to kill: commits each event, then lets the broker have its PUBACK, then moves a retained watermark.

It takes a number only after all before it, or once those are named by a `torchkeeper.dropped` event. What comes
before its turn it leaves, so the agent has to send it again. `Collector` runs it as a process of its own, which is
`python -m tests.collector PORT DATABASE`; `Received` reads what it has, also while it runs.
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
NAME = "main"  # the collector whose word counts, by default
SESSION = 3600  # seconds for which the broker keeps what a subscriber misses
SUBSCRIBED = "subscribed"  # what the process prints each time it is
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
    """Events by (host, epoch, seq), each once, and how often they came."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(TABLES)

    def take(self, event: Mapping[str, Any]) -> Source:
        """Commit what an event brings, where it is its turn; the source that it belongs to."""
        data = event["data"]
        source, seq = (event["source"].partition("/")[2], data["epoch"]), data["seq"]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._do("INSERT INTO reached VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING", *source)
            for first, last in data.get("ranges", ()):  # numbers that will never come
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
        """The number up to which all have come, or were named as given up."""
        found = self._do("SELECT seq FROM reached WHERE host = ? AND epoch = ?", host, epoch)
        return int(found[0][0]) if found else 0

    def sources(self) -> list[Source]:
        return self._do("SELECT host, epoch FROM reached")

    def events(self) -> dict[tuple[str, str, int], dict[str, Any]]:
        """What was taken, in this order."""
        found = self._do("SELECT host, epoch, seq, event FROM received ORDER BY rowid")
        return {(host, epoch, seq): json.loads(event) for host, epoch, seq, event in found}

    def named(self) -> list[tuple[int, int]]:
        """The numbers that were told to be given up, as ranges, rising."""
        return self._do("SELECT first, last FROM named ORDER BY first")

    def duplicates(self) -> int:
        """How many came that were known."""
        return int(self._do("SELECT coalesce(sum(times - 1), 0) FROM received")[0][0])

    def early(self) -> int:
        """How many came before their turn."""
        return int(self._do("SELECT coalesce(sum(early), 0) FROM reached")[0][0])

    def copy_to(self, path: Path) -> None:
        """A backup, to restore by putting it in the place of the file."""
        self._do("VACUUM INTO ?", str(path))

    def close(self) -> None:
        self._db.close()

    def _past(self, source: Source, seq: int) -> int:
        """The last of the named numbers that follow this one; this one where none do."""
        query = "SELECT max(last) FROM named WHERE host = ? AND epoch = ? AND first <= ? AND last > ?"
        while last := self._do(query, *source, seq + 1, seq)[0][0]:
            seq = last
        return seq

    def _do(self, query: str, *values: object) -> list[Any]:
        return self._db.execute(query, values).fetchall()


class Collector(proc.Daemon):
    """The collector as a process, to kill and to start again."""

    def __init__(self, port: int, folder: Path) -> None:
        self.database = folder / "collector.db"
        argv = [sys.executable, "-m", "tests.support.collector", str(port), str(self.database)]
        super().__init__(argv, folder / "collector.log", os.environ | {"PYTHONPATH": str(proc.ROOT)})

    def start_subscribed(self) -> None:
        """Start it, and wait until it hears what is published."""
        before = self.output().count(SUBSCRIBED)
        self.start()
        self.wait_until(lambda: self.output().count(SUBSCRIBED) > before)

    def restore(self, backup: Path) -> None:
        """Kill it, and put an older copy in the place of what it has."""
        self.kill()
        for suffix in ("-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        backup.replace(self.database)


@contextmanager
def running(port: int, folder: Path) -> Iterator[Collector]:
    """A collector in this folder for as long as the block lasts; it comes back by itself when the broker does."""
    collector = Collector(port, folder)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def make_client(name: str, topic: str) -> Client:
    """A subscriber to a topic filter, which subscribes at each connect, and which connects again by itself."""
    client = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
    client.reconnect_delay_set(min_delay=1, max_delay=1)

    def subscribe(at: Client, _data: object, _flags: ConnectFlags, _code: ReasonCode, _: Properties | None) -> None:
        at.subscribe(topic, qos=1)

    client.on_connect = subscribe
    return client


def kept_session() -> Properties:
    """For `connect`, with `clean_start=False`: the broker keeps what is missed."""
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
        for source in received.sources():  # a broker that was killed has forgotten
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
