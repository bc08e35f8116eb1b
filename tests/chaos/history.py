"""What the monitor's database has of one host, and whether it is what the host has decided and done."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KIND = "torchkeeper."
# event type -> the table that has one row for each of them, beside decisions and outcomes
TABLES = {"sweep": "sweeps", "gap": "gaps", "build-cache": "build_cache", "dropped": "dropped"}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HostEvent:
    """An event in the host's own log. `retired`: the host no longer sends it."""

    seq: int
    type: str
    retired: bool
    data: Mapping[str, Any]


class History:
    """The database of a monitor, read beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def faults(self, host: str, epoch: str, events: Sequence[HostEvent]) -> Iterator[str]:
        """Promise 6: each event is in the history once, or still waits on the host; and nothing else is there."""
        stream = self._rows(
            "SELECT s.* FROM streams s JOIN hosts h ON h.id = host_id WHERE name = ? AND epoch = ?", host, epoch
        )
        for other in self._rows("SELECT name, epoch FROM streams s JOIN hosts h ON h.id = s.host_id"):
            if (other["name"], other["epoch"]) != (host, epoch):
                yield f"the monitor has events of {dict(other)}, which does not exist"
        if not stream:
            yield from [] if not events else ["the monitor has no event of the host"]
            return
        arrived = self._arrived(stream[0])
        yield from self._lost_or_phantom(events, arrived)
        came = [event for event in events if event.seq in arrived]
        yield from self._decisions(stream[0]["id"], came)
        yield from self._others(stream[0]["id"], came)

    def counts(self) -> dict[str, int]:
        """The number of rows of each table."""
        tables = ("decisions", *TABLES.values())
        return {table: int(self._rows(f"SELECT count(*) FROM {table}")[0][0]) for table in tables}

    def _arrived(self, stream: sqlite3.Row) -> set[int]:
        missing = self._rows("SELECT lo, hi FROM missing WHERE stream_id = ?", stream["id"])
        absent = {seq for row in missing for seq in range(row["lo"], row["hi"] + 1)}
        return set(range(1, stream["highest"] + 1)) - absent

    def _lost_or_phantom(self, events: Sequence[HostEvent], arrived: set[int]) -> Iterator[str]:
        for event in events:
            if event.retired and event.seq not in arrived:
                yield f"{event.type} {event.seq} is neither in the history nor in the outbox"
        for seq in sorted(arrived - {event.seq for event in events}):
            yield f"the history counts event {seq}, which the host does not know"

    def _decisions(self, stream: int, came: Sequence[HostEvent]) -> Iterator[str]:
        """Each decision has one row, with its last outcome."""
        outcomes = {e.data["decision_id"]: e.data["outcome"] for e in came if e.type == f"{KIND}outcome"}
        decided = Counter(
            (e.seq, e.data["decision_id"], e.data["image"]["id"], outcomes.pop(e.data["decision_id"], None))
            for e in came
            if e.type == f"{KIND}decision"
        )
        columns = "seq, decision_id, digest, outcome"
        query = f"SELECT {columns} FROM decisions JOIN images ON images.id = image_id WHERE stream_id = ?"
        stored = Counter(tuple(row) for row in self._rows(query, stream))
        for decision in (decided - stored).elements():
            yield f"the decision {decision} is not in the history"
        for decision in (stored - decided).elements():
            yield f"the history has the decision {decision}, which the host does not know"
        for identity, outcome in outcomes.items():
            yield f"the outcome {outcome} of {identity} is there without its decision"
        for row in self._rows("SELECT decision_id FROM decisions WHERE stream_id IS NULL"):
            yield f"the history has an outcome of {row['decision_id']} and not the decision"

    def _others(self, stream: int, came: Sequence[HostEvent]) -> Iterator[str]:
        for kind, table in TABLES.items():
            there = {event.seq for event in came if event.type == f"{KIND}{kind}"}
            stored = [row["seq"] for row in self._rows(f"SELECT seq FROM {table} WHERE stream_id = ?", stream)]
            if sorted(stored) != sorted(there):
                yield f"the history has the events {sorted(stored)} in {table}, and the host {sorted(there)}"

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(self._path, timeout=30)) as db:
            db.row_factory = sqlite3.Row
            return db.execute(query, values).fetchall()
