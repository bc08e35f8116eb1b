"""The event log: the audit trail and the outbox in one table, bounded in bytes.

A row waits until the broker has it or, from the first word of the collector on, until the collector has it. No number
vanishes in silence: what is given up is named by a `torchkeeper.dropped` event, so that the collector, which takes a
number only after all before it, never waits for one that cannot come.
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

# Bytes that may wait. An event takes about 1 KB: a host that evicts fifty images a day fills it in a year.
# Decisions and outcomes are beyond it: one that waits for the collector is never given up, for room or for its age.
# One image and due time has one decision, and each try an outcome, with at least ten minutes between two: the disk
# bounds them (`StateFull`), which stops evictions rather than forget one.
MAX_WAITING_BYTES = 64 * 1024 * 1024
BATCH = 16  # telemetry goes by this part of the bound, so that few `dropped` events name it
NEARLY = 7 / 8  # of the bound: from here on `nearly_full`; after a batch went it is still above
ROW_BYTES = 256  # what a row takes beside its data: other columns and its places in the indexes, rounded up
MOST_RANGES = 1000  # in one `dropped` event, about 16 KB

WATERMARK = "watermark"


class EventLog:
    """The event log of one state file. Each public method that writes, but `add` and `forget`, is one transaction."""

    def __init__(self, db: Queries, bound: int = MAX_WAITING_BYTES) -> None:
        """`bound`: bytes of events that may wait for the collector."""
        self._db = db
        self._db.after_rollback.append(self._recount)
        self._bound = bound
        self._waiting: int | None = None  # bytes; None: to be counted
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
        """All events from a time on, as on MQTT, oldest first; those of a machine that this state was copied from
        bear its name and its epoch, and come before the own ones."""
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
        """The outcomes after a time of evictions that took something else as well, newest first."""
        return [self._event(row) for row in self._db.all("also_removed", since=rows.us(since))]

    def add(self, event: NewEvent) -> int | None:
        """Inside a transaction of the caller: add a row. None where it is a decision that was written before."""
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
        """The broker has these rows, but the deferred ones. That counts for nothing once the collector was heard."""
        with self._db.transaction():
            self._uncount(self._db.all("retire", up_to=up_to, deferred=json.dumps(list(deferred))))

    def watermark(self) -> int | None:
        """Up to which number the collector has all events; None where it was never heard."""
        found = self._db.load_value(WATERMARK)
        return None if found is None else int(found)

    def acknowledge(self, epoch: str, seq: int, now: datetime) -> Watermark | None:
        """Record that the collector has all events of an epoch up to a number. Returns what that changed.

        Raises UnknownSequence, and changes nothing, where no event has that number. An acknowledgement of another
        epoch says only that the collector has none of this one. It is ignored (returns None) once the collector has
        acknowledged this epoch: otherwise two agents of one name would make each other resend everything.
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
            # Where even a `dropped` event is refused, one more would be as well: `declare_missing` comes back to it.
            self._declare_dropped([row for row in aside if row["type"] != new_events.DROPPED], "undeliverable", now)

    def declare_missing(self, now: datetime) -> None:
        """Name the numbers above the watermark that no row has and no event names."""
        watermark = self.watermark()
        if watermark is not None:
            with self._db.transaction():
                self._declare_missing(watermark, now)

    def forget(self, before: datetime, now: datetime, *, declare_dropped: bool) -> None:
        """Inside a transaction of the caller: delete what is older.

        With `declare_dropped`, the decisions and outcomes that still wait are kept, and all else that waits is given
        up and named. Without it, for an agent that has no broker, all is deleted, and nothing is named.
        """
        self._db.do("forget_events", before=rows.us(before))
        self._db.do("forget_former_events", before=rows.us(before))
        given_up = self._db.all("give_up_before", before=rows.us(before), all=not declare_dropped)
        self._uncount(given_up)
        if declare_dropped:
            self._declare_dropped(given_up, "retention", now)

    # Room

    def nearly_full(self) -> bool:
        """Whether what waits takes nearly all the room it may, or was given up for want of it."""
        return self.waiting_bytes() >= NEARLY * self._bound

    def waiting_bytes(self) -> int:
        if self._waiting is None:
            row = self._db.one("waiting_bytes", row_bytes=ROW_BYTES)
            self._waiting = 0 if row is None else int(row["bytes"])
        return self._waiting

    def _make_room(self, now: datetime) -> None:
        """Give up the oldest telemetry, a batch at a time; where less than that is left, all stays."""
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
        """Name rows that will never be sent, and what those of them named that are `dropped` events."""
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
    """The numbers that a row names, where it is a `dropped` event."""
    if row["type"] != new_events.DROPPED:
        return []
    return [(first, last) for first, last in json.loads(row["data"])["ranges"]]
