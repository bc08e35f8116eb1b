"""The event log: the audit trail and the outbox in one table, bounded in bytes.

A row is in the outbox until the broker has it or, once a collector has acknowledged anything, until the collector has
it. Every number is accounted for: a `torchkeeper.dropped` event lists the numbers of dropped rows, so that a collector,
which accepts a number only after all the numbers before it, never waits for one that cannot arrive.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from agent.adapters.outbox import OutboxRow, UnknownSequence, Watermark
from agent.adapters.sqlite import database, rows
from agent.core.protocol import new_events, payloads
from agent.core.protocol.new_events import NewEvent, Range

# Bytes that may be in the outbox. An event has about 1 KB: a host that evicts fifty images a day fills it in a year.
# Unsent decisions and outcomes are never dropped, neither for this limit nor for their age. They are few: one decision
# per image and due time, and an outcome per try, at least ten minutes apart. Only the disk limits them (`StateFull`),
# and that stops evictions.
MAX_WAITING_BYTES = 64 * 1024 * 1024
BATCH = 16  # drop telemetry in batches of this fraction of the limit, so that few `dropped` events are needed
NEARLY = 7 / 8  # of the limit: `nearly_full` from here on; still true after a batch was dropped
ROW_BYTES = 256  # bytes of a row besides its data: the other columns and its index entries, rounded up
MOST_RANGES = 1000  # in one `dropped` event, about 16 KB

WATERMARK = "watermark"


class EventLog:
    """The queries on the event log of one open state file (or a copy of it), and the means for other tables."""

    def __init__(self, connection: sqlite3.Connection, bound: int = MAX_WAITING_BYTES) -> None:
        self._db = connection
        self._bound = bound
        self._waiting: int | None = None  # bytes; None: to be counted
        self.host = self._meta("host") or ""
        self.epoch = self._meta("epoch") or self._remember("epoch", uuid.uuid4().hex)
        # an engine's ID is the same on every cloned machine
        self.agent_id = self._meta("agent_id") or self._remember("agent_id", str(uuid.uuid4()))

    def name_host(self, host: str) -> None:
        self.host = self._remember("host", host)

    # The audit trail

    def append(self, event: NewEvent) -> None:
        with self._transaction():
            self._append(event)

    def events(self, since: datetime) -> list[payloads.Event]:
        """All events since a time, as on MQTT, oldest first.

        If the state was copied, the events of the other machine come first, with its host name and epoch.
        """
        former = self._all("get_former_events", since=rows.us(since))
        return [
            *(_as_event(row, row["host"], row["epoch"]) for row in former),
            *(self._event(row) for row in self._all("get_events", since=rows.us(since))),
        ]

    def last_decisions(self, most: int) -> list[tuple[payloads.Event, payloads.Event | None]]:
        """The latest decisions, newest first, each with its last outcome."""
        found = []
        for row in self._all("last_decisions", most=most):
            outcome = self._one("last_outcome", decision_id=row["decision_id"])
            found.append((self._event(row), self._event(outcome) if outcome is not None else None))
        return found

    def also_removed(self, since: datetime) -> list[payloads.Event]:
        """The outcomes since a time of evictions that also removed something else, newest first."""
        return [self._event(row) for row in self._all("also_removed", since=rows.us(since))]

    def _append(self, event: NewEvent) -> int | None:
        """Add a row, inside a transaction. Returns None for a decision that was written before."""
        row = self._insert(event)
        if row is not None and self.waiting_bytes() > self._bound:
            self._make_room(event.at)
        return row

    def _insert(self, event: NewEvent) -> int | None:
        data = json.dumps(event.data, separators=(",", ":"))
        row = self._one(
            "add_event",
            type=event.kind,
            at=rows.us(event.at),
            subject=event.subject,
            decision_id=event.decision_id,
            data=data,
        )
        if row is None:
            return None
        self._count(len(data) + ROW_BYTES)
        return int(row["seq"])

    def _event(self, row: sqlite3.Row) -> payloads.Event:
        return _as_event(row, self.host, self.epoch)

    # The outbox

    def unsent(self, after: int, most: int) -> list[OutboxRow]:
        waiting = self._all("unsent", after=after, most=most)
        return [OutboxRow(row["seq"], self._event(row).encode(), row["type"]) for row in waiting]

    def retire(self, up_to: int, deferred: Iterable[int] = ()) -> None:
        """Remove rows up to here from the outbox, except deferred ones. No effect once a collector has acknowledged."""
        with self._transaction():
            self._uncount(self._all("retire", up_to=up_to, deferred=json.dumps(list(deferred))))

    def watermark(self) -> int | None:
        """The number up to which the collector has all events; None if it has never acknowledged."""
        found = self._meta(WATERMARK)
        return None if found is None else int(found)

    def acknowledge(self, epoch: str, seq: int, now: datetime) -> Watermark | None:
        """Record that the collector has all events of an epoch up to a number. Returns the new watermark.

        Raises UnknownSequence, and changes nothing, if no event has that number. An acknowledgement of another epoch
        means that the collector has no event of this one. It is ignored (returns None) once the collector has
        acknowledged this epoch: otherwise two agents with one name would make each other resend everything.
        """
        known = self.watermark()
        if epoch != self.epoch:
            if known is not None:
                return None
            seq = 0
        if not 0 <= seq <= self._last_seq():
            raise UnknownSequence
        taken_back: list[sqlite3.Row] = []
        if seq != known:
            with self._transaction():
                self._remember(WATERMARK, str(seq))
                self._uncount(self._all("retire_acknowledged", up_to=seq))
                if known is None or seq < known:
                    taken_back = self._all("take_back", watermark=seq)
                    self._uncount(taken_back, sign=-1)
                    self._declare_missing(seq, now)
        return Watermark(seq, back=bool(taken_back))

    def quarantine(self, seq: int, error: str, now: datetime) -> None:
        """Keep a row that cannot be delivered for people, and never send it again."""
        with self._transaction():
            aside = self._all("set_aside", seq=seq, error=error)
            self._uncount(aside)
            # If even a `dropped` event is refused, another one would be too: `declare_missing` lists it later.
            self._declare_dropped([row for row in aside if row["type"] != new_events.DROPPED], "undeliverable", now)

    def declare_missing(self, now: datetime) -> None:
        """Write a `dropped` event for numbers above the watermark that neither have a row nor are listed in one yet."""
        watermark = self.watermark()
        if watermark is not None:
            with self._transaction():
                self._declare_missing(watermark, now)

    def _forget_events(self, before: datetime, now: datetime, *, quietly: bool) -> None:
        """Delete older rows, inside a transaction.

        Unsent decisions and outcomes are kept, and other unsent rows are listed as dropped. With `quietly`, for an
        agent without a broker, all are deleted and none is listed.
        """
        self._do("forget_events", before=rows.us(before))
        self._do("forget_former_events", before=rows.us(before))
        given_up = self._all("give_up_before", before=rows.us(before), all=quietly)
        self._uncount(given_up)
        if not quietly:
            self._declare_dropped(given_up, "retention", now)

    # Room

    def nearly_full(self) -> bool:
        """Whether the outbox is nearly at its limit, or rows were dropped because of it."""
        return self.waiting_bytes() >= NEARLY * self._bound

    def waiting_bytes(self) -> int:
        if self._waiting is None:
            row = self._one("waiting_bytes", row_bytes=ROW_BYTES)
            self._waiting = 0 if row is None else int(row["bytes"])
        return self._waiting

    def _make_room(self, now: datetime) -> None:
        """Drop the oldest telemetry in one batch; if there is less than a batch, drop nothing."""
        batch = self._bound // BATCH
        over, last = self.waiting_bytes() - self._bound + batch, 0
        given_up = 0
        for row in self._all("telemetry"):
            last = row["seq"]
            given_up += row["bytes"] + ROW_BYTES
            if given_up >= over:
                break
        if given_up >= batch:
            gone = self._all("give_up_telemetry", up_to=last)
            self._uncount(gone)
            self._declare_dropped(gone, "outbox-full", now)

    def _declare_dropped(self, given_up: Iterable[sqlite3.Row], reason: str, now: datetime) -> None:
        """Write a `dropped` event for rows that will never be sent, and for the numbers that those rows listed."""
        ranges: list[Range] = []
        for row in given_up:
            ranges.append((row["seq"], row["seq"]))
            ranges += _named_by(row)
        self._write_dropped(new_events.merged(ranges), reason, now)

    def _declare_missing(self, above: int, now: datetime) -> None:
        known: list[Range] = [(row["seq"], row["seq"]) for row in self._all("numbers", above=above)]
        for row in self._all("dropped", above=above):
            known += _named_by(row)
        self._write_dropped(new_events.missing(above, self._last_seq(), known), "missing", now)

    def _write_dropped(self, ranges: list[Range], reason: str, now: datetime) -> None:
        for start in range(0, len(ranges), MOST_RANGES):
            self._insert(new_events.dropped(ranges[start : start + MOST_RANGES], reason, now))

    def _last_seq(self) -> int:
        row = self._one("last_seq")
        return 0 if row is None else int(row["seq"])

    def _uncount(self, changed: list[sqlite3.Row], sign: int = 1) -> None:
        self._count(-sign * sum(row["bytes"] + ROW_BYTES for row in changed))

    def _count(self, more: int) -> None:
        if self._waiting is not None:
            self._waiting += more

    # The connection

    def close(self) -> None:
        self._db.close()

    def _meta(self, key: str) -> str | None:
        row = self._one("get_meta", key=key)
        return str(row["value"]) if row is not None else None

    def _remember(self, key: str, value: str) -> str:
        self._do("put_meta", key=key, value=value)
        return value

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._waiting = None
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _do(self, name: str, /, **values: object) -> None:
        self._db.execute(database.queries()[name], values)

    def _one(self, name: str, /, **values: object) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(database.queries()[name], values).fetchone()
        return row

    def _all(self, name: str, /, **values: object) -> list[sqlite3.Row]:
        return self._db.execute(database.queries()[name], values).fetchall()


def _as_event(row: sqlite3.Row, host: str, epoch: str) -> payloads.Event:
    return payloads.event(
        host=host,
        epoch=epoch,
        seq=row["seq"],
        kind=row["type"],
        at=rows.known(row["at"]),
        subject=row["subject"],
        data=json.loads(row["data"]),
    )


def _named_by(row: sqlite3.Row) -> list[Range]:
    """The numbers that a row lists, if it is a `dropped` event."""
    if row["type"] != new_events.DROPPED:
        return []
    return [(first, last) for first, last in json.loads(row["data"])["ranges"]]
