"""Decisions and their outcomes, the journal of unfinished removals, and the back-off after failed ones.

Synchronous calls on one connection, made by `Worker` in its thread. Each public method that writes is one transaction.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.adapters.sqlite import rows
from agent.adapters.sqlite.event_log import EventLog
from agent.adapters.sqlite.queries import Queries
from agent.core.policy.limits import PastEviction
from agent.core.protocol.new_events import NewEvent


@dataclass(frozen=True, slots=True)
class Removal:
    """An unfinished removal, from its journal row."""

    image_id: str
    decision_id: str
    references: tuple[str, ...]
    at: datetime
    image: dict[str, Any]  # a payloads.ImageRef


class RemovalJournal:
    """The queries on decisions and removals. Each decision, by image and due time, is written once."""

    def __init__(self, db: Queries, log: EventLog) -> None:
        self._db = db
        self._log = log

    def record_decision(self, decision: NewEvent, outcome: NewEvent) -> bool:
        """Write a decision without a removal, together with its outcome.

        Returns False, and writes nothing, if the decision was written before: there is one per image and due time.
        """
        with self._db.transaction():
            written = self._log.add(decision) is not None
            if written:
                self._log.add(outcome)
        return written

    def begin_removal(self, engine: int, removal: Removal, decision: NewEvent) -> None:
        """Write the decision, unless it was written before, and the journal row, together."""
        with self._db.transaction():
            self._log.add(decision)
            self._db.do(
                "add_removal",
                engine=engine,
                image_id=removal.image_id,
                decision_id=removal.decision_id,
                image_references=json.dumps(removal.references),
                at=rows.us(removal.at),
                image=json.dumps(removal.image),
            )

    def end_removal(self, engine: int, image_id: str, outcome: NewEvent, not_before: datetime | None) -> None:
        """Write the outcome, delete the journal row, and set or remove the back-off, together.

        If the state was copied and the removal was begun on the other machine, its decision is written too.
        """
        with self._db.transaction():
            self._adopt_decision(outcome.decision_id)
            self._log.add(outcome)
            self._db.do("drop_removal", engine=engine, image_id=image_id)
            if not_before is None:
                self._db.do("drop_backoff", engine=engine, image_id=image_id)
            else:
                failures = self.count_failures(engine, image_id) + 1
                row = {"engine": engine, "image_id": image_id, "failures": failures}
                self._db.do("put_backoff", **row, not_before=rows.us(not_before))

    def _adopt_decision(self, decision_id: str | None) -> None:
        row = self._db.one("former_decision", decision_id=decision_id)
        if row is not None:
            data = json.loads(row["data"])
            self._log.add(NewEvent(row["type"], rows.known(row["at"]), row["subject"], data, decision_id))

    def load_removals(self, engine: int) -> list[Removal]:
        return [
            Removal(
                image_id=row["image_id"],
                decision_id=row["decision_id"],
                references=tuple(json.loads(row["image_references"])),
                at=rows.known(row["at"]),
                image=json.loads(row["image"]),
            )
            for row in self._db.all("get_removals", engine=engine)
        ]

    def load_backoff(self, engine: int) -> dict[str, datetime]:
        return {row["image_id"]: rows.known(row["not_before"]) for row in self._db.all("get_backoff", engine=engine)}

    def count_failures(self, engine: int, image_id: str) -> int:
        failures = {row["image_id"]: row["failures"] for row in self._db.all("get_backoff", engine=engine)}
        return int(failures.get(image_id, 0))

    def load_past_evictions(self, since: datetime) -> tuple[PastEviction, ...]:
        evictions = self._db.all("past_evictions", since=rows.us(since))
        return tuple(PastEviction(rows.known(row["at"]), row["bytes"]) for row in evictions)
