"""State files of released schemas: each migrates with every row, and a SIGKILL inside leaves it as it was."""

import hashlib
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.sqlite import database
from agent.adapters.sqlite.usage_tables import Removal, UsageTables
from agent.core.protocol.new_events import DECISION, NewEvent
from agent.core.timekeeping import MachineOff
from agent.core.usage.continuity import Cursor
from agent.core.usage.tracker import Changes, TrackedContainer, Use
from tests.support.builders import make_usage
from tests.support.proc import ROOT
from tests.support.times import MINUTE, START

SCHEMA_1 = ROOT / "tests" / "data" / "state-0001.sql"
# as the fixture has them
TORCH, BASE, OTHER = (f"sha256:{hashlib.sha256(name).hexdigest()}" for name in (b"torch", b"base", b"other"))
USAGES = (
    make_usage(
        TORCH,
        arrived=START,
        last_used=START + MINUTE,
        last_used_by="box",
        released=START,
        protected=True,
        references=("team/torch:1", "team/torch:2"),
        references_changed=START,
        pulled=True,
    ),
    make_usage(BASE, present=False),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder as schema 1 left it."""
    connection = sqlite3.connect(tmp_path / database.FILE)
    connection.executescript(SCHEMA_1.read_text())
    connection.close()
    return tmp_path


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Table -> number of rows, of those that have any: a later schema has more tables."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
    found = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    return {name: number for name, number in found.items() if number}


def schema(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {(name, " ".join(sql.split())) for name, sql in rows if not name.startswith("sqlite_")}


def kept(path: Path) -> tuple[int, dict[str, int]]:
    """The schema's number and the rows of a file, by SQLite alone."""
    connection = sqlite3.connect(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    found = version, counts(connection)
    connection.close()
    return found


def test_the_first_migration_is_still_the_schema_that_was_released(folder: Path) -> None:
    fresh = sqlite3.connect(":memory:")
    fresh.executescript(dict(database.migrations())[1])
    released = sqlite3.connect(folder / database.FILE)
    assert schema(fresh) == schema(released)
    released.close()


def test_a_file_of_schema_1_is_migrated_with_every_row(folder: Path) -> None:
    _, before = kept(folder / database.FILE)
    assert len(before) == 10  # the fixture has every kind of row
    connection, word = database.open_file(folder, START)
    assert (word, counts(connection) | before) == ("", counts(connection))  # later schemas may have more tables
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_a_migrated_file_has_the_schema_of_a_new_one(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    migrated, _ = database.open_file(folder, START)
    made, _ = database.open_file(tmp_path_factory.mktemp("new"), START)
    assert schema(migrated) == schema(made)


def test_the_first_engine_of_that_id_and_driver_takes_its_rows_over_and_no_other_does(folder: Path) -> None:
    tables = UsageTables(database.open_file(folder, START)[0])
    saved = tables.load("engine-1", "overlay2", "/var/lib/docker")
    assert {usage.image_id: usage for usage in saved.usages} == {usage.image_id: usage for usage in USAGES}
    assert saved.containers == (TrackedContainer("c1", TORCH, "box", "running"),)
    assert saved.cursor == Cursor(
        time_ns=7, key=(7, "container", "start", "c1"), alive_at=START + MINUTE, boot="boot-1", steady=61.5
    )
    assert (saved.gap_end, saved.backoff) == (START, {TORCH: START + 10 * MINUTE})
    assert saved.absences == (MachineOff(START - timedelta(days=3), START - timedelta(days=1)),)
    assert tables.load("engine-1", "overlay2", "/data").usages == ()
    assert tables.load("engine-1", "overlay2", "/var/lib/docker") == saved
    tables.close()


def test_a_row_without_a_root_is_taken_over_once(folder: Path) -> None:
    tables = UsageTables(database.open_file(folder, START)[0])
    first = tables.load("engine-1", "overlay2", "").engine  # "" is a root directory like any
    assert tables.load("engine-1", "overlay2", "/data").engine != first
    assert tables.load("engine-1", "overlay2", "").engine == first
    assert tables.load("engine-1", "overlayfs", "/data").usages == (make_usage(OTHER),)
    tables.close()


def test_a_migrated_file_is_written_to_like_a_new_one(folder: Path) -> None:
    tables = UsageTables(database.open_file(folder, START)[0])
    row = tables.load("engine-1", "overlay2", "/data").engine
    assert [removal.decision_id for removal in tables.removals(row)] == ["d1"]
    assert tables.uses(row, TORCH, 9)[0] == Use(TORCH, "c1", "start", START + MINUTE, "box")
    assert (tables.host, tables.epoch, tables.policies(), tables.watermark()) == ("gpu-07", "e0c0", "{}", 3)
    tables.commit(row, Changes(usages=(make_usage("new"),)), Cursor(time_ns=8, alive_at=START + 2 * MINUTE))
    tables.begin_removal(row, Removal(BASE, "d3", (), START, {"id": BASE}), NewEvent(DECISION, START, BASE, {}, "d3"))
    other = tables.load("engine-1", "overlay2", "/elsewhere").engine
    tables.commit(other, Changes(usages=(make_usage("new"),)), None)
    latest = tables.load_latest()
    assert latest is not None
    assert (latest.engine, len(latest.usages), latest.cursor.time_ns) == (row, 3, 8)
    assert [event.data["seq"] for event in tables.events(START)][-1] == 7
    tables.close()


def test_a_copy_to_look_at_is_migrated_and_the_file_is_not(folder: Path) -> None:
    copy = database.open_copy(folder)
    assert copy.execute("SELECT count(*) FROM engines WHERE root IS NULL").fetchone()[0] == 2
    assert kept(folder / database.FILE)[0] == 1


KILLED_AT = ["CREATE TABLE engines_with_root", "INSERT INTO engines_with_root", "DROP TABLE engines", "ALTER TABLE"]
DIE = """
import os, signal, sqlite3, sys
from datetime import UTC, datetime
from pathlib import Path
from agent.adapters.sqlite import database

class Dying(sqlite3.Connection):
    def execute(self, *args):
        self.set_trace_callback(lambda sql: sys.argv[2] in sql and os.kill(os.getpid(), signal.SIGKILL))
        return super().execute(*args)

connect = sqlite3.connect
sqlite3.connect = lambda *args, **options: connect(*args, factory=Dying, **options)
database.open_file(Path(sys.argv[1]), datetime.now(UTC))
"""


@pytest.mark.parametrize("statement", KILLED_AT)
def test_a_kill_inside_the_migration_leaves_the_file_of_before(folder: Path, statement: str) -> None:
    before = kept(folder / database.FILE)
    done = subprocess.run([sys.executable, "-c", DIE, folder, statement], cwd=folder, check=False)
    assert done.returncode == -signal.SIGKILL
    assert kept(folder / database.FILE) == before
    connection, word = database.open_file(folder, START)
    assert (word, counts(connection) | before[1]) == ("", counts(connection))
    connection.close()
