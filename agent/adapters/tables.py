"""What the agent remembers: usage, containers, cursor, event log (audit trail and outbox), removal journal.

Plain calls on one connection; `store` puts them into a thread of their own. Each public method is one transaction.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.adapters import database
from agent.adapters import store_rows as rows
from agent.adapters.outbox import OutboxRow
from agent.core import wire
from agent.core.continuity import Blind, Cursor
from agent.core.model import Usage
from agent.core.report import NewEvent
from agent.core.usage import Changes, Held, Use


@dataclass(frozen=True, slots=True)
class Saved:
    """What is known of one engine."""

    engine: int
    usages: tuple[Usage, ...]
    held: tuple[Held, ...]
    cursor: Cursor
    gap_end: datetime | None
    backoff: dict[str, datetime]


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal under way, as its journal row tells it."""

    image_id: str
    decision_id: str
    references: tuple[str, ...]
    at: datetime
    image: dict[str, Any]  # a wire.ImageRef


class Tables:
    """The queries on one open state file (or a copy of it)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.host = self._meta("host") or ""
        self.epoch = self._meta("epoch") or self._remember("epoch", uuid.uuid4().hex)

    def name_host(self, host: str) -> None:
        self.host = self._remember("host", host)

    def _meta(self, key: str) -> str | None:
        row = self._one("get_meta", key=key)
        return str(row["value"]) if row is not None else None

    def _remember(self, key: str, value: str) -> str:
        self._do("put_meta", key=key, value=value)
        return value

    # Usage

    def load(self, engine_id: str, driver: str) -> Saved:
        """Everything of one engine; an empty start for one never seen."""
        self._do("add_engine", engine_id=engine_id, driver=driver)
        row = self._one("get_engine", engine_id=engine_id, driver=driver)
        assert row is not None  # noqa: S101 - added above
        return self._saved(row)

    def load_latest(self) -> Saved | None:
        """Everything of the engine that was watched last, or None where none ever was."""
        row = self._one("latest_engine")
        return self._saved(row) if row is not None else None

    def _saved(self, row: sqlite3.Row) -> Saved:
        engine = row["engine"]
        key = json.loads(row["cursor_key"]) if row["cursor_key"] else None
        return Saved(
            engine=engine,
            usages=tuple(rows.usage(item) for item in self._all("get_usages", engine=engine)),
            held=tuple(rows.held(item) for item in self._all("get_containers", engine=engine)),
            cursor=Cursor(
                time_ns=row["cursor_ns"],
                key=tuple(key) if key else None,
                alive_at=rows.at(row["alive_at"]),
                engine_ended=bool(row["engine_ended"]),
            ),
            gap_end=rows.at(row["gap_end"]),
            backoff=self.backoff(engine),
        )

    def commit(self, engine: int, changes: Changes, cursor: Cursor | None) -> None:
        """Write what events changed, and how far they were read, together."""
        with self._transaction():
            for usage in changes.usages:
                self._do("put_usage", **rows.usage_row(engine, usage))
            for held in changes.held:
                self._do("put_container", engine=engine, container_id=held.id, **rows.held_row(held))
            for container_id in changes.let_go:
                self._do("drop_container", engine=engine, container_id=container_id)
            for use in changes.uses:
                self._do("add_use", engine=engine, **rows.use_row(use))
            if cursor is not None:
                key = json.dumps(cursor.key) if cursor.key else None
                alive = rows.us(cursor.alive_at)
                self._do("move_cursor", engine=engine, cursor_ns=cursor.time_ns, cursor_key=key, alive_at=alive)

    def beat(self, engine: int, at: datetime, *, engine_ended: bool = False) -> None:
        """Note that the agent is (was) watching until now."""
        self._do("beat", engine=engine, alive_at=rows.us(at), engine_ended=int(engine_ended))

    def record_gap(self, engine: int, blind: Blind, event: NewEvent) -> None:
        with self._transaction():
            self._do("set_gap", engine=engine, gap_end=rows.us(blind.until))
            self._append(event)

    def uses(self, engine: int, image_id: str, most: int) -> list[Use]:
        """The latest uses of an image, newest first."""
        return [rows.use(row) for row in self._all("get_uses", engine=engine, image_id=image_id, most=most)]

    def image_of(self, engine: int, container_id: str) -> str | None:
        """The image that a container used, from the history; None where it has none."""
        row = self._one("image_of_container", engine=engine, container_id=container_id)
        return row["image_id"] if row is not None else None

    # Decisions and their outcomes

    def decide(self, decision: NewEvent, outcome: NewEvent | None = None) -> bool:
        """Write a decision (and, where it is not acted on, its outcome with it).

        False, and nothing written, where the decision was written before: one for each image and due time.
        """
        with self._transaction():
            written = self._append(decision) is not None
            if written and outcome is not None:
                self._append(outcome)
        return written

    def begin_removal(self, engine: int, removal: Removal) -> None:
        """Write the journal row. From here on, until `end_removal`, a crash is settled at the next start."""
        self._do(
            "add_removal",
            engine=engine,
            image_id=removal.image_id,
            decision_id=removal.decision_id,
            image_references=json.dumps(removal.references),
            at=rows.us(removal.at),
            image=json.dumps(removal.image),
        )

    def end_removal(self, engine: int, image_id: str, outcome: NewEvent, not_before: datetime | None) -> None:
        """Write the outcome and end the journal row, together; `not_before` is the back-off, None lifts it."""
        with self._transaction():
            self._append(outcome)
            self._do("drop_removal", engine=engine, image_id=image_id)
            if not_before is None:
                self._do("drop_backoff", engine=engine, image_id=image_id)
            else:
                failures = self.failures(engine).get(image_id, 0) + 1
                row = {"engine": engine, "image_id": image_id, "failures": failures}
                self._do("put_backoff", **row, not_before=rows.us(not_before))

    def removals(self, engine: int) -> list[Removal]:
        """The removals that a crash left unsettled, oldest first."""
        return [
            Removal(
                image_id=row["image_id"],
                decision_id=row["decision_id"],
                references=tuple(json.loads(row["image_references"])),
                at=rows.known(row["at"]),
                image=json.loads(row["image"]),
            )
            for row in self._all("get_removals", engine=engine)
        ]

    def backoff(self, engine: int) -> dict[str, datetime]:
        """Image ID -> not before."""
        return {row["image_id"]: rows.known(row["not_before"]) for row in self._all("get_backoff", engine=engine)}

    def failures(self, engine: int) -> dict[str, int]:
        """Image ID -> refusals and failures in a row."""
        return {row["image_id"]: row["failures"] for row in self._all("get_backoff", engine=engine)}

    # The event log

    def append(self, event: NewEvent) -> None:
        self._append(event)

    def events(self, since: datetime) -> list[wire.Event]:
        """All events from a time on, as on MQTT, oldest first."""
        return [self._event(row) for row in self._all("get_events", since=rows.us(since))]

    def last_decisions(self, most: int) -> list[tuple[wire.Event, wire.Event | None]]:
        """The latest decisions, newest first, each with its last outcome."""
        found = []
        for row in self._all("last_decisions", most=most):
            outcome = self._one("last_outcome", decision_id=row["decision_id"])
            found.append((self._event(row), self._event(outcome) if outcome is not None else None))
        return found

    def unsent(self, after: int, most: int) -> list[OutboxRow]:
        waiting = self._all("unsent", after=after, most=most)
        return [OutboxRow(seq=row["seq"], payload=self._event(row).encode()) for row in waiting]

    def retire(self, up_to: int) -> None:
        self._do("retire", up_to=up_to)

    def set_aside(self, seq: int, error: str) -> None:
        self._do("set_aside", seq=seq, error=error)

    def forget(self, before: datetime, *, unsent_too: bool) -> None:
        """Drop history older than a time. Events that still wait for the broker stay, unless `unsent_too`."""
        with self._transaction():
            self._do("forget_events", before=rows.us(before), unsent_too=int(unsent_too))
            self._do("forget_uses", before=rows.us(before))
            self._do("forget_usages", before=rows.us(before))

    def _append(self, event: NewEvent) -> int | None:
        row = self._db.execute(
            database.queries()["add_event"],
            {
                "type": event.kind,
                "at": rows.us(event.at),
                "subject": event.subject,
                "decision_id": event.decision_id,
                "data": json.dumps(event.data, separators=(",", ":")),
            },
        ).fetchone()
        return None if row is None else int(row["seq"])

    def _event(self, row: sqlite3.Row) -> wire.Event:
        return wire.event(
            host=self.host,
            epoch=self.epoch,
            seq=row["seq"],
            kind=row["type"],
            at=rows.known(row["at"]),
            subject=row["subject"],
            data=json.loads(row["data"]),
        )

    # The connection

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
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
