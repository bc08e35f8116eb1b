"""The data of each engine: usage, containers, cursor, gaps, history, and the results of layer probes.

Synchronous calls on one connection, made by `Worker` in its thread. Each public method that writes is one transaction.
"""

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from agent.adapters.sqlite import rows
from agent.adapters.sqlite.event_log import EventLog
from agent.adapters.sqlite.queries import Queries
from agent.core.model import Usage
from agent.core.protocol.new_events import NewEvent
from agent.core.pytorch import layer_probe
from agent.core.pytorch.layer_probe import LayerProbe
from agent.core.timekeeping import MachineOff
from agent.core.usage.continuity import BlindPeriod, Cursor
from agent.core.usage.tracker import Changes, IgnoredRuns, TrackedContainer, Use


@dataclass(frozen=True, slots=True)
class StoredEngine:
    """The stored data of one engine."""

    usages: tuple[Usage, ...]
    containers: tuple[TrackedContainer, ...]
    cursor: Cursor
    gap_end: datetime | None
    absences: tuple[MachineOff, ...]


class UsageTables:
    """The queries on these tables. `engine` is the number of an engine's row."""

    def __init__(self, db: Queries, log: EventLog) -> None:
        self._db = db
        self._log = log

    # Engines

    def add_engine(self, engine_id: str, driver: str, root: str) -> int:
        """The row of an engine with one root directory; it is added if it does not exist."""
        key = {"engine_id": engine_id, "driver": driver, "root": root}
        with self._db.transaction():
            self._db.do("adopt_engine", **key)
            self._db.do("add_engine", **key)
        row = self._db.one("find_engine", **key)
        assert row is not None  # noqa: S101 - added above
        return int(row["engine"])

    def load(self, engine: int) -> StoredEngine:
        row = self._db.one("get_engine", engine=engine)
        assert row is not None  # noqa: S101 - no row of an engine is ever deleted
        return self._stored(row)

    def load_latest_engine(self) -> StoredEngine | None:
        row = self._db.one("latest_engine")
        return self._stored(row) if row is not None else None

    def _stored(self, row: sqlite3.Row) -> StoredEngine:
        engine = row["engine"]
        key = json.loads(row["cursor_key"]) if row["cursor_key"] else None
        return StoredEngine(
            usages=tuple(rows.usage(item) for item in self._db.all("get_usages", engine=engine)),
            containers=tuple(rows.container(item) for item in self._db.all("get_containers", engine=engine)),
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
            absences=tuple(rows.absence(item) for item in self._db.all("get_absences", engine=engine)),
        )

    # The watch

    def commit(self, engine: int, changes: Changes, cursor: Cursor | None) -> None:
        """Write the changes by events, and the cursor up to which events were read, together."""
        with self._db.transaction():
            for usage in changes.usages:
                self._db.do("put_usage", **rows.usage_row(engine, usage))
            for container in changes.containers:
                row = rows.container_row(container)
                self._db.do("put_container", engine=engine, container_id=container.id, **row)
            for container_id in changes.removed:
                self._db.do("drop_container", engine=engine, container_id=container_id)
            for use in changes.uses:
                self._db.do("add_use", engine=engine, **rows.use_row(use))
            for run in changes.ignored:
                self._db.do("count_ignored_run", engine=engine, **rows.ignored_run_row(run))
            if cursor is not None:
                self._db.do("move_cursor", engine=engine, **rows.cursor_row(cursor))

    def rewind(self, engine: int, cursor: Cursor) -> None:
        self._db.do("rewind", engine=engine, **rows.cursor_row(cursor))

    def record_heartbeat(self, engine: int, cursor: Cursor) -> None:
        self._db.do("heartbeat", engine=engine, **rows.alive_row(cursor), engine_ended=int(cursor.engine_ended))

    def record_machine_off(self, engine: int, off: MachineOff) -> None:
        self._db.do("add_absence", engine=engine, since=rows.us(off.since), until=rows.us(off.until))

    def record_gap(self, engine: int, blind: BlindPeriod, event: NewEvent) -> None:
        """Set the end of the last gap, and append the gap's event, together."""
        with self._db.transaction():
            self._db.do("set_gap", engine=engine, gap_end=rows.us(blind.until))
            self._log.add(event)

    # The history

    def load_uses(self, engine: int, image_id: str, most: int) -> list[Use]:
        return [rows.use(row) for row in self._db.all("get_uses", engine=engine, image_id=image_id, most=most)]

    def load_ignored_runs(self, engine: int, image_id: str) -> list[IgnoredRuns]:
        return [rows.ignored_runs(row) for row in self._db.all("get_ignored_runs", engine=engine, image_id=image_id)]

    def find_image(self, engine: int, container_id: str) -> str | None:
        row = self._db.one("image_of_container", engine=engine, container_id=container_id)
        return row["image_id"] if row is not None else None

    def prune(self, before: datetime, now: datetime, *, declare_dropped: bool) -> None:
        """Delete all history older than a time, together."""
        with self._db.transaction():
            self._log.forget(before, now, declare_dropped=declare_dropped)
            self._db.do("forget_uses", before=rows.us(before))
            self._db.do("forget_ignored_runs", before=rows.us(before))
            self._db.do("forget_usages", before=rows.us(before))
            self._db.do("forget_layer_looks")

    # Layer probes

    def load_layer_probes(self, engine: int) -> dict[str, LayerProbe]:
        probes = self._db.all("get_layer_looks", engine=engine, rules=layer_probe.RULES)
        return {row["image_id"]: rows.probe(row) for row in probes}

    def save_layer_probe(self, engine: int, image_id: str, probe: LayerProbe) -> None:
        row = rows.probe_row(probe)
        self._db.do("put_layer_look", engine=engine, image_id=image_id, rules=layer_probe.RULES, **row)
