"""The event log: the audit trail and the outbox in one table, bounded in bytes.

A row is in the outbox until the broker has it or, once a collector has acknowledged anything, until the collector has
it. Every number is accounted for: a `torchkeeper.dropped` event lists the numbers of dropped rows, so that a collector,
which accepts a number only after all the numbers before it, never waits for one that cannot arrive.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterable
from datetime import datetime

from agent.adapters.outbox import OutboxRow, UnknownSequence, Watermark
from agent.adapters.sqlite import rows
from agent.adapters.sqlite.queries import Queries
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
    """The event log of one state file. Each public method that writes is one transaction; not `add`, `forget`."""

    def __init__(self, db: Queries, bound: int = MAX_WAITING_BYTES) -> None:
        """`bound`: limit of the outbox in bytes."""
        self._db = db
        self._db.after_rollback.append(self._recount)
        self._bound = bound
        self._waiting: int | None = None  # bytes in the outbox; None: not counted yet
        self.host = self._db.load_value("host") or ""
        self.epoch = self._db.load_value("epoch") or self._db.save_value("epoch", uuid.uuid4().hex)
        # an engine's ID is the same on every cloned machine
        self.agent_id = self._db.load_value("agent_id") or self._db.save_value("agent_id", str(uuid.uuid4()))

    def name_host(self, host: str) -> None:
        self.host = self._db.save_value("host", host)

    # The audit trail

    def append(self, event: NewEvent) -> None:
        with self._db.transaction():
            self.add(event)

    def load_events(self, since: datetime) -> list[payloads.Event]:
        """All events since a time, as on MQTT, oldest first.

        If the state was copied, the events of the other machine come first, with its host name and epoch.
        """
        former = self._db.all("get_former_events", since=rows.us(since))
        return [
            *(_as_event(row, row["host"], row["epoch"]) for row in former),
            *(self._event(row) for row in self._db.all("get_events", since=rows.us(since))),
        ]

    def load_last_decisions(self, most: int) -> list[tuple[payloads.Event, payloads.Event | None]]:
        """The latest decisions, newest first, each with its last outcome."""
        found = []
        for row in self._db.all("last_decisions", most=most):
            outcome = self._db.one("last_outcome", decision_id=row["decision_id"])
            found.append((self._event(row), self._event(outcome) if outcome is not None else None))
        return found

    def load_also_removed(self, since: datetime) -> list[payloads.Event]:
        """The outcomes since a time of evictions that also removed something else, newest first."""
        return [self._event(row) for row in self._db.all("also_removed", since=rows.us(since))]

    def add(self, event: NewEvent) -> int | None:
        """Add a row, inside a transaction of the caller. Returns None for a decision that was written before."""
        row = self._insert(event)
        if row is not None and self.waiting_bytes() > self._bound:
            self._make_room(event.at)
        return row

    def _insert(self, event: NewEvent) -> int | None:
        data = json.dumps(event.data, separators=(",", ":"))
        row = self._db.one(
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
        waiting = self._db.all("unsent", after=after, most=most)
        return [OutboxRow(row["seq"], self._event(row).encode(), row["type"]) for row in waiting]

    def retire(self, up_to: int, deferred: Iterable[int] = ()) -> None:
        """Remove rows up to here from the outbox, except deferred ones. No effect once a collector has acknowledged."""
        with self._db.transaction():
            self._uncount(self._db.all("retire", up_to=up_to, deferred=json.dumps(list(deferred))))

    def watermark(self) -> int | None:
        """The number up to which the collector has all events; None if it has never acknowledged."""
        found = self._db.load_value(WATERMARK)
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
            with self._db.transaction():
                self._db.save_value(WATERMARK, str(seq))
                self._uncount(self._db.all("retire_acknowledged", up_to=seq))
                if known is None or seq < known:
                    taken_back = self._db.all("take_back", watermark=seq)
                    self._uncount(taken_back, sign=-1)
                    self._declare_missing(seq, now)
        return Watermark(seq, back=bool(taken_back))

    def quarantine(self, seq: int, error: str, now: datetime) -> None:
        """Keep a row that cannot be delivered for people, and never send it again."""
        with self._db.transaction():
            aside = self._db.all("set_aside", seq=seq, error=error)
            self._uncount(aside)
            # If even a `dropped` event is refused, another one would be too: `declare_missing` lists it later.
            self._declare_dropped(
                [row for row in aside if row["type"] != payloads.DroppedData.type], "undeliverable", now
            )

    def declare_missing(self, now: datetime) -> None:
        """Write a `dropped` event for numbers above the watermark that neither have a row nor are listed in one yet."""
        watermark = self.watermark()
        if watermark is not None:
            with self._db.transaction():
                self._declare_missing(watermark, now)

    def forget(self, before: datetime, now: datetime, *, declare_dropped: bool) -> None:
        """Delete older rows, inside a transaction of the caller.

        With `declare_dropped`, unsent decisions and outcomes are kept, and other unsent rows are listed as dropped.
        Without it, for an agent without a broker, all are deleted and none is listed.
        """
        self._db.do("forget_events", before=rows.us(before))
        self._db.do("forget_former_events", before=rows.us(before))
        given_up = self._db.all("give_up_before", before=rows.us(before), all=not declare_dropped)
        self._uncount(given_up)
        if declare_dropped:
            self._declare_dropped(given_up, "retention", now)

    # The limit

    def nearly_full(self) -> bool:
        """Whether the outbox is nearly at its limit, or rows were dropped because of it."""
        return self.waiting_bytes() >= NEARLY * self._bound

    def waiting_bytes(self) -> int:
        if self._waiting is None:
            row = self._db.one("waiting_bytes", row_bytes=ROW_BYTES)
            self._waiting = 0 if row is None else int(row["bytes"])
        return self._waiting

    def _make_room(self, now: datetime) -> None:
        """Drop the oldest telemetry in one batch; if there is less than a batch, drop nothing."""
        batch = self._bound // BATCH
        over, last = self.waiting_bytes() - self._bound + batch, 0
        given_up = 0
        for row in self._db.all("telemetry"):
            last = row["seq"]
            given_up += row["bytes"] + ROW_BYTES
            if given_up >= over:
                break
        if given_up >= batch:
            gone = self._db.all("give_up_telemetry", up_to=last)
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
        known: list[Range] = [(row["seq"], row["seq"]) for row in self._db.all("numbers", above=above)]
        for row in self._db.all("dropped", above=above):
            known += _named_by(row)
        self._write_dropped(new_events.missing(above, self._last_seq(), known), "missing", now)

    def _write_dropped(self, ranges: list[Range], reason: str, now: datetime) -> None:
        for start in range(0, len(ranges), MOST_RANGES):
            self._insert(new_events.dropped(ranges[start : start + MOST_RANGES], reason, now))

    def _last_seq(self) -> int:
        row = self._db.one("last_seq")
        return 0 if row is None else int(row["seq"])

    def _uncount(self, changed: list[sqlite3.Row], sign: int = 1) -> None:
        self._count(-sign * sum(row["bytes"] + ROW_BYTES for row in changed))

    def _recount(self) -> None:
        self._waiting = None

    def _count(self, more: int) -> None:
        if self._waiting is not None:
            self._waiting += more


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
    if row["type"] != payloads.DroppedData.type:
        return []
    return [(first, last) for first, last in json.loads(row["data"])["ranges"]]
