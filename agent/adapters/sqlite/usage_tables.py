"""What the agent remembers: usage, containers, cursor, removal journal, and by `EventLog` what it has to tell.

Plain calls on one connection; `store` puts them into a thread of their own. Each public method is one transaction.
"""

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.adapters.sqlite import rows
from agent.adapters.sqlite.event_log import EventLog
from agent.core.model import Usage
from agent.core.policy.limits import PastEviction
from agent.core.protocol.new_events import NewEvent
from agent.core.pytorch import layer_probe
from agent.core.pytorch.layer_probe import LayerProbe
from agent.core.timekeeping import MachineOff
from agent.core.usage.continuity import BlindPeriod, Cursor
from agent.core.usage.tracker import Changes, IgnoredRuns, TrackedContainer, Use


@dataclass(frozen=True, slots=True)
class StoredEngine:
    """What is known of one engine."""

    engine: int
    usages: tuple[Usage, ...]
    containers: tuple[TrackedContainer, ...]
    cursor: Cursor
    gap_end: datetime | None
    absences: tuple[MachineOff, ...]
    backoff: dict[str, datetime]


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal under way, as its journal row tells it."""

    image_id: str
    decision_id: str
    references: tuple[str, ...]
    at: datetime
    image: dict[str, Any]  # a wire.ImageRef


class UsageTables(EventLog):
    """The queries on one open state file (or a copy of it)."""

    # Usage

    def load(self, engine_id: str, driver: str, root: str) -> StoredEngine:
        """Everything of one engine on one root directory; an empty start for one never seen."""
        key = {"engine_id": engine_id, "driver": driver, "root": root}
        with self._transaction():
            self._do("adopt_engine", **key)
            self._do("add_engine", **key)
        row = self._one("get_engine", **key)
        assert row is not None  # noqa: S101 - added above
        return self._saved(row)

    def load_latest(self) -> StoredEngine | None:
        """Everything of the engine that was watched last, or None where none ever was."""
        row = self._one("latest_engine")
        return self._saved(row) if row is not None else None

    def _saved(self, row: sqlite3.Row) -> StoredEngine:
        engine = row["engine"]
        key = json.loads(row["cursor_key"]) if row["cursor_key"] else None
        return StoredEngine(
            engine=engine,
            usages=tuple(rows.usage(item) for item in self._all("get_usages", engine=engine)),
            containers=tuple(rows.held(item) for item in self._all("get_containers", engine=engine)),
            cursor=Cursor(
                time_ns=row["cursor_ns"],
                key=tuple(key) if key else None,
                alive_at=rows.at(row["alive_at"]),
                engine_ended=bool(row["engine_ended"]),
                boot=row["boot"],
                steady=row["alive_steady"],
                awake=row["alive_awake"],
            ),
            gap_end=rows.at(row["gap_end"]),
            absences=tuple(rows.absence(item) for item in self._all("get_absences", engine=engine)),
            backoff=self.backoff(engine),
        )

    def commit(self, engine: int, changes: Changes, cursor: Cursor | None) -> None:
        """Write what events changed, and how far they were read, together."""
        with self._transaction():
            for usage in changes.usages:
                self._do("put_usage", **rows.usage_row(engine, usage))
            for held in changes.containers:
                self._do("put_container", engine=engine, container_id=held.id, **rows.held_row(held))
            for container_id in changes.removed:
                self._do("drop_container", engine=engine, container_id=container_id)
            for use in changes.uses:
                self._do("add_use", engine=engine, **rows.use_row(use))
            for run in changes.ignored:
                self._do("count_ignored_run", engine=engine, **rows.ignored_run_row(run))
            if cursor is not None:
                self._do("move_cursor", engine=engine, **rows.cursor_row(cursor))

    def rewind(self, engine: int, cursor: Cursor) -> None:
        """Set the cursor back: the clock that it was taken by was wrong."""
        self._do("rewind", engine=engine, **rows.cursor_row(cursor))

    def beat(self, engine: int, cursor: Cursor) -> None:
        """Note until when the agent is known to have been watching, and how that ended."""
        self._do("beat", engine=engine, **rows.alive_row(cursor), engine_ended=int(cursor.engine_ended))

    def add_absence(self, engine: int, off: MachineOff) -> None:
        self._do("add_absence", engine=engine, since=rows.us(off.since), until=rows.us(off.until))

    def freed(self, since: datetime) -> tuple[PastEviction, ...]:
        """The evictions done since a time, with their estimated bytes, oldest first."""
        return tuple(
            PastEviction(rows.known(row["at"]), row["bytes"]) for row in self._all("freed", since=rows.us(since))
        )

    def record_gap(self, engine: int, blind: BlindPeriod, event: NewEvent) -> None:
        with self._transaction():
            self._do("set_gap", engine=engine, gap_end=rows.us(blind.until))
            self._append(event)

    def uses(self, engine: int, image_id: str, most: int) -> list[Use]:
        """The latest uses of an image, newest first."""
        return [rows.use(row) for row in self._all("get_uses", engine=engine, image_id=image_id, most=most)]

    def ignored_runs(self, engine: int, image_id: str) -> list[IgnoredRuns]:
        """What was ignored of an image's runs, by pattern."""
        return [rows.ignored_runs(row) for row in self._all("get_ignored_runs", engine=engine, image_id=image_id)]

    def image_of(self, engine: int, container_id: str) -> str | None:
        """The image that a container used, from the history; None where it has none."""
        row = self._one("image_of_container", engine=engine, container_id=container_id)
        return row["image_id"] if row is not None else None

    def forget(self, before: datetime, now: datetime, *, quietly: bool) -> None:
        """Drop history older than a time. Events that still wait are given up, and named unless `quietly`."""
        with self._transaction():
            self._forget_events(before, now, quietly=quietly)
            self._do("forget_uses", before=rows.us(before))
            self._do("forget_ignored_runs", before=rows.us(before))
            self._do("forget_usages", before=rows.us(before))
            self._do("forget_layer_looks")

    # What the layers of images show

    def layer_looks(self, engine: int) -> dict[str, LayerProbe]:
        """Image ID -> what was found, by the rules of now."""
        found = self._all("get_layer_looks", engine=engine, rules=layer_probe.RULES)
        return {row["image_id"]: rows.look(row) for row in found}

    def keep_look(self, engine: int, image_id: str, look: LayerProbe) -> None:
        """Remember what was found. Not for what is unknown."""
        self._do("put_layer_look", engine=engine, image_id=image_id, rules=layer_probe.RULES, **rows.look_row(look))

    # The policies

    def policies(self) -> str | None:
        """What was kept of the policies in force, as `keep_policies` was given it."""
        return self._meta("policies")

    def keep_policies(self, text: str) -> None:
        self._remember("policies", text)

    # Decisions and their outcomes

    def decide(self, decision: NewEvent, outcome: NewEvent) -> bool:
        """Write a decision that is not acted on, and its outcome with it.

        False, and nothing written, where the decision was written before: one for each image and due time.
        """
        with self._transaction():
            written = self._append(decision) is not None
            if written:
                self._append(outcome)
        return written

    def begin_removal(self, engine: int, removal: Removal, decision: NewEvent) -> None:
        """Write the decision, unless it was written before, and the journal row, together.

        From here on, until `end_removal`, a crash is settled at the next start: each decision gets its outcome.
        """
        with self._transaction():
            self._append(decision)
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
        """Write the outcome and end the journal row, together; `not_before` is the back-off, None lifts it.

        Where the removal was begun on the machine that this state was copied from, its decision is written as well.
        """
        with self._transaction():
            self._adopt_decision(outcome.decision_id)
            self._append(outcome)
            self._do("drop_removal", engine=engine, image_id=image_id)
            if not_before is None:
                self._do("drop_backoff", engine=engine, image_id=image_id)
            else:
                failures = self.failures(engine).get(image_id, 0) + 1
                row = {"engine": engine, "image_id": image_id, "failures": failures}
                self._do("put_backoff", **row, not_before=rows.us(not_before))

    def _adopt_decision(self, decision_id: str | None) -> None:
        row = self._one("former_decision", decision_id=decision_id)
        if row is not None:
            data = json.loads(row["data"])
            self._append(NewEvent(row["type"], rows.known(row["at"]), row["subject"], data, decision_id))

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
