"""A collector to kill: commits each event, then lets the broker have its PUBACK, then moves a retained watermark.

`python -m tests.chaos.hub PORT DATABASE` runs it; `Received` reads what it has.
"""

import json
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

ROOT = "torchkeeper/v1"
NAME = "main"  # the collector whose word counts, by default
SESSION = 3600  # seconds for which the broker keeps what it misses
SUBSCRIBED = "subscribed"  # what it prints once it is
TABLES = """
CREATE TABLE IF NOT EXISTS received (
    host TEXT, epoch TEXT, seq INTEGER, event TEXT, times INTEGER DEFAULT 1, PRIMARY KEY (host, epoch, seq)
);
CREATE TABLE IF NOT EXISTS named (host TEXT, epoch TEXT, first INTEGER, last INTEGER);
"""


class Received:
    """Events by (host, epoch, seq), each once, and how often they came."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(TABLES)

    def take(self, event: Mapping[str, Any]) -> tuple[str, str]:
        """Commit an event; the (host, epoch) that it belongs to."""
        host, data = event["source"].partition("/")[2], event["data"]
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO received (host, epoch, seq, event) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET times = times + 1",
                (host, data["epoch"], data["seq"], json.dumps(event)),
            )
            for first, last in data.get("ranges", ()):  # numbers that will never come
                self._db.execute("INSERT INTO named VALUES (?, ?, ?, ?)", (host, data["epoch"], first, last))
        return host, data["epoch"]

    def watermark(self, host: str, epoch: str) -> int:
        """The number up to which all have come, or were named as given up."""
        known = [
            (seq, seq) for (seq,) in self._all("SELECT seq FROM received WHERE host = ? AND epoch = ?", host, epoch)
        ]
        known += self._all("SELECT first, last FROM named WHERE host = ? AND epoch = ?", host, epoch)
        reached = 0
        for first, last in sorted(known):
            if first > reached + 1:
                break
            reached = max(reached, last)
        return reached

    def sources(self) -> list[tuple[str, str]]:
        return self._all("SELECT DISTINCT host, epoch FROM received")

    def events(self) -> dict[tuple[str, str, int], dict[str, Any]]:
        found = self._all("SELECT host, epoch, seq, event FROM received ORDER BY seq")
        return {(host, epoch, seq): json.loads(event) for host, epoch, seq, event in found}

    def duplicates(self) -> int:
        return int(self._all("SELECT coalesce(sum(times - 1), 0) FROM received")[0][0])

    def _all(self, query: str, *values: str) -> list[Any]:
        return self._db.execute(query, values).fetchall()


def collect(port: int, database: Path) -> None:
    """Collect until killed; comes back by itself when the broker does."""
    received = Received(database)
    client = Client(CallbackAPIVersion.VERSION2, "collector", protocol=MQTTProtocolVersion.MQTTv5)
    client.reconnect_delay_set(min_delay=1, max_delay=1)

    def acknowledge(host: str, epoch: str) -> None:
        word = {"collector": NAME, "epoch": epoch, "seq": received.watermark(host, epoch)}
        client.publish(f"{ROOT}/control/{host}/ack", json.dumps(word), qos=1, retain=True)

    def connected(_: Client, _data: object, _flags: ConnectFlags, _code: ReasonCode, _more: Properties | None) -> None:
        client.subscribe(f"{ROOT}/hosts/+/events", qos=1)
        for source in received.sources():  # a broker that was killed has forgotten
            acknowledge(*source)

    def took(_: Client, _data: object, message: MQTTMessage) -> None:
        acknowledge(*received.take(json.loads(message.payload)))  # the PUBACK follows when this returns

    client.on_connect, client.on_message = connected, took
    client.on_subscribe = lambda *_: print(SUBSCRIBED, flush=True)
    keep = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    keep.SessionExpiryInterval = SESSION
    client.connect_async("127.0.0.1", port, clean_start=False, properties=keep)
    client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    collect(int(sys.argv[1]), Path(sys.argv[2]))
