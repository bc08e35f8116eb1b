"""State files of released schemas: each migrates with every row, and a SIGKILL inside leaves it as it was."""

import errno
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.sqlite import database
from agent.adapters.sqlite.removal_journal import Removal
from agent.adapters.sqlite.store import Store
from agent.adapters.sqlite.usage_tables import StoredEngine
from agent.adapters.state_errors import StateError, StateTooNew
from agent.core.protocol.new_events import NewEvent
from agent.core.protocol.payloads import DecisionData
from agent.core.timekeeping import MachineOff
from agent.core.usage.continuity import Cursor
from agent.core.usage.tracker import Changes, TrackedContainer, Use
from tests.support.builders import make_engine_info, make_usage
from tests.support.proc import ROOT
from tests.support.times import MINUTE, START

COPY = f"{database.FILE}.schema-1"
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


def contents(path: Path) -> tuple[int, dict[str, int]]:
    """The schema's number and the rows of a file, by SQLite alone."""
    connection = sqlite3.connect(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    found = version, counts(connection)
    connection.close()
    return found


FIXTURES = sorted((ROOT / "tests" / "data").glob("state-*.sql"))


def number_of(fixture: Path) -> int:
    return int(fixture.stem.removeprefix("state-"))


def made_from(fixture: Path, folder: Path) -> Path:
    """The state file of a fixture."""
    connection = sqlite3.connect(folder / database.FILE)
    connection.executescript(fixture.read_text())
    connection.close()
    return folder / database.FILE


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.stem)
def test_the_migrations_still_lead_to_the_schema_that_was_released(fixture: Path, tmp_path: Path) -> None:
    fresh = sqlite3.connect(":memory:")
    for number, script in database.migrations():
        if number <= number_of(fixture):
            fresh.executescript(script)
    released = sqlite3.connect(made_from(fixture, tmp_path))
    assert schema(fresh) == schema(released)
    released.close()


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.stem)
def test_a_file_of_each_schema_is_migrated_with_every_row(fixture: Path, tmp_path: Path) -> None:
    number, before = contents(made_from(fixture, tmp_path))
    assert (number, len(before) >= 10) == (number_of(fixture), True)  # the fixture has every kind of row
    connection, word = database.open_file(tmp_path, START)
    assert (word, counts(connection) | before) == ("", counts(connection))  # later schemas may have more tables
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    (tmp_path / "new").mkdir()
    made, _ = database.open_file(tmp_path / "new", START)
    assert schema(connection) == schema(made)
    connection.close()
    made.close()


def open_store(folder: Path) -> Store:
    return Store(database.open_file(folder, START)[0], folder)


async def load(store: Store, root: str, driver: str = "overlay2") -> StoredEngine:
    return await (await store.engine(make_engine_info("engine-1", driver, root))).load()


async def test_the_first_engine_of_that_id_and_driver_takes_its_rows_over_and_no_other_does(folder: Path) -> None:
    store = open_store(folder)
    saved = await load(store, "/var/lib/docker")
    assert {usage.image_id: usage for usage in saved.usages} == {usage.image_id: usage for usage in USAGES}
    assert saved.containers == (TrackedContainer("c1", TORCH, "box", "running"),)
    assert saved.cursor == Cursor(
        time_ns=7, key=(7, "container", "start", "c1"), alive_at=START + MINUTE, boot="boot-1", steady=61.5
    )
    assert saved.gap_end == START
    assert saved.absences == (MachineOff(START - timedelta(days=3), START - timedelta(days=1)),)
    assert (await load(store, "/data")).usages == ()
    assert await load(store, "/var/lib/docker") == saved
    await store.close()


async def test_a_row_without_a_root_is_taken_over_once(folder: Path) -> None:
    store = open_store(folder)
    first = await load(store, "")  # "" is a root directory like any
    assert first.usages != ()
    assert (await load(store, "/data")).usages == ()
    assert await load(store, "") == first
    assert (await load(store, "/data", "overlayfs")).usages == (make_usage(OTHER),)
    await store.close()


async def test_a_migrated_file_is_written_to_like_a_new_one(folder: Path) -> None:
    store = open_store(folder)
    engine = await store.engine(make_engine_info("engine-1", root="/data"))
    assert [removal.decision_id for removal in await engine.load_removals()] == ["d1"]
    assert await engine.load_backoff() == {TORCH: START + 10 * MINUTE}
    assert (await engine.load_uses(TORCH, 9))[0] == Use(TORCH, "c1", "start", START + MINUTE, "box")
    assert (store.host, store.epoch, await store.load_policies(), await store.watermark()) == (
        "gpu-07",
        "e0c0",
        "{}",
        3,
    )
    await engine.commit(Changes(usages=(make_usage("new"),)), Cursor(time_ns=8, alive_at=START + 2 * MINUTE))
    await engine.begin_removal(
        Removal(BASE, "d3", (), START, {"id": BASE}), NewEvent(DecisionData.type, START, BASE, {}, "d3")
    )
    other = await store.engine(make_engine_info("engine-1", root="/elsewhere"))
    await other.commit(Changes(usages=(make_usage("new"),)), None)
    latest = await store.load_latest_engine()
    assert latest == await engine.load()
    assert (len(latest.usages), latest.cursor.time_ns) == (3, 8)
    assert [event.data["seq"] for event in await store.load_events(START)][-1] == 7
    await store.close()


def test_a_copy_to_look_at_is_migrated_and_the_file_is_not(folder: Path) -> None:
    copy = database.open_copy(folder)
    assert copy.execute("SELECT count(*) FROM engines WHERE root IS NULL").fetchone()[0] == 2
    assert contents(folder / database.FILE)[0] == 1


# Going back: the file of before is kept


def test_the_file_of_before_is_kept_for_the_version_of_before(folder: Path) -> None:
    before = contents(folder / database.FILE)
    database.open_file(folder, START)[0].close()
    assert contents(folder / COPY) == before
    assert (folder / COPY).stat().st_mode & 0o007 == 0
    (folder / COPY).rename(folder / database.FILE)
    database.open_file(folder, START)[0].close()
    assert contents(folder / COPY) == before


def test_a_new_file_and_one_of_this_schema_are_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        database.open_file(tmp_path, START)[0].close()
    assert [path.name for path in tmp_path.iterdir()] == [database.FILE]


def test_a_version_that_does_not_know_the_schema_names_the_copy_that_it_knows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.open_file(folder, START)[0].close()
    first = database.migrations()[:1]
    monkeypatch.setattr(database, "migrations", lambda: first)
    with pytest.raises(StateTooNew, match=rf"install that version again, or rename {COPY} to {database.FILE}"):
        database.open_file(folder, START)


@pytest.mark.parametrize(
    ("number", "migrated"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False), (errno.EACCES, False)]
)
def test_only_a_full_disk_may_prevent_the_copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, migrated: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", fail)
    if migrated:
        database.open_file(folder, START)[0].close()
    else:
        with pytest.raises(StateError, match=f"copied before its migration: {os.strerror(number)}; nothing was"):
            database.open_file(folder, START)
    newest = database.migrations()[-1][0]
    assert contents(folder / database.FILE)[0] == (newest if migrated else 1)
    assert {path.name for path in folder.iterdir()} == {database.FILE}


# statements and calls
KILLED_AT = [
    "backup",
    "fsync",
    "replace",
    "CREATE TABLE engines_with_root",
    "INSERT INTO engines_with_root",
    "DROP TABLE engines",
    "ALTER TABLE",
]
DIE = """
import os, signal, sqlite3, sys
from datetime import UTC, datetime
from pathlib import Path
from agent.adapters.sqlite import database

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

class Dying(sqlite3.Connection):
    def execute(self, *args):
        self.set_trace_callback(lambda sql: sys.argv[2] in sql and die())
        return super().execute(*args)

    def backup(self, target):
        super().backup(target, pages=1, progress=die if sys.argv[2] == "backup" else None)

if sys.argv[2] == "fsync":
    os.fsync = die
if sys.argv[2] == "replace":
    Path.replace = die
connect = sqlite3.connect
sqlite3.connect = lambda *args, **options: connect(*args, factory=Dying, **options)
database.open_file(Path(sys.argv[1]), datetime.now(UTC))
"""


@pytest.mark.parametrize("point", KILLED_AT)
def test_a_kill_at_any_point_of_the_migration_leaves_the_file_of_before(folder: Path, point: str) -> None:
    before = contents(folder / database.FILE)
    done = subprocess.run([sys.executable, "-c", DIE, folder, point], cwd=folder, check=False)
    assert done.returncode == -signal.SIGKILL
    assert contents(folder / database.FILE) == before
    connection, word = database.open_file(folder, START)
    assert (word, counts(connection) | before[1]) == ("", counts(connection))
    connection.close()
    assert contents(folder / COPY) == before
    assert {path.name for path in folder.iterdir()} == {database.FILE, COPY}
