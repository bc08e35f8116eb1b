"""The state file: damaged, newer, older, being written by another, on a full disk."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.adapters import folder, reserve
from agent.adapters.sqlite import database
from agent.adapters.sqlite.store import Store
from agent.adapters.state_errors import StateDamaged, StateError, StateFull, StateTooNew
from agent.core.protocol.new_events import NewEvent
from agent.core.usage.tracker import Changes
from tests.support import proc
from tests.support.builders import make_engine_info, make_usage
from tests.support.fakes.clock import START

SECOND = (9999, "ALTER TABLE usage ADD COLUMN second INTEGER NOT NULL DEFAULT 7;\nUPDATE meta SET value = 'migrated';")


def make(folder: Path, *images: str) -> None:
    """A state file with the usage of some images, closed."""

    async def fill() -> None:
        connection, _ = database.open_file(folder, START)
        store = Store(connection, folder)
        usages = tuple(make_usage(name) for name in images)
        engine = await store.engine(make_engine_info())
        await engine.commit(Changes(usages=usages), None)
        await store.close()

    asyncio.run(fill())


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM usage").fetchone()[0])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


# Opening


def test_a_new_file_is_durable_and_migrated(tmp_path: Path) -> None:
    connection, word = database.open_file(tmp_path, START)
    pragmas = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert (word, pragmas, version(connection)) == ("", ["wal", 2], database.migrations()[-1][0])
    connection.close()


async def test_the_agent_has_one_id_for_as_long_as_its_state(tmp_path: Path) -> None:
    ids = []
    for place in (tmp_path, tmp_path, tmp_path / "other"):
        folder.prepare(place)
        store = Store(database.open_file(place, START)[0])
        ids.append(store.agent_id)
        await store.close()
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("damage", ["rubbish", "truncated", "overwritten"])
def test_a_damaged_file_is_moved_aside_and_never_deleted(tmp_path: Path, damage: str) -> None:
    make(tmp_path, *(f"image-{number}" for number in range(200)))
    path = tmp_path / database.FILE
    sound = path.read_bytes()
    broken = {"rubbish": b"rubbish" * 999, "truncated": sound[:9000], "overwritten": sound[:4096] + b"\7" * 20000}
    path.write_bytes(broken[damage])
    connection, word = database.open_file(tmp_path, START)
    aside = tmp_path / "state.db.damaged-20260301T120000"
    assert (count(connection), aside.read_bytes()) == (0, broken[damage])
    assert "every image counts as first seen now" in word
    assert aside.name in word
    connection.close()


def test_two_damaged_files_are_both_kept(tmp_path: Path) -> None:
    for text in (b"one" * 999, b"two" * 999):
        (tmp_path / database.FILE).write_bytes(text)
        database.open_file(tmp_path, START)[0].close()
    kept = [path.read_bytes() for path in tmp_path.iterdir() if "damaged" in path.name]
    assert sorted(kept) == [b"one" * 999, b"two" * 999]


def test_a_newer_file_is_refused_and_untouched(tmp_path: Path) -> None:
    make(tmp_path, "torch")
    connection = sqlite3.connect(tmp_path / database.FILE)
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    before = contents(tmp_path)[database.FILE]
    with pytest.raises(StateTooNew, match="written by a newer torchkeeper"):
        database.open_file(tmp_path, START)
    with pytest.raises(StateTooNew):
        database.open_copy(tmp_path)
    assert contents(tmp_path)[database.FILE] == before


def test_an_older_file_is_migrated_with_all_that_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "torch", "other")
    known = database.migrations()
    monkeypatch.setattr(database, "migrations", lambda: (*known, SECOND))
    connection, word = database.open_file(tmp_path, START)
    assert (word, version(connection)) == ("", 9999)
    assert [row["second"] for row in connection.execute("SELECT second FROM usage")] == [7, 7]
    connection.close()


def test_a_file_of_the_first_schema_is_migrated_whatever_numbers_lie_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = database.migrations()[:1]
    with monkeypatch.context() as patched:
        patched.setattr(database, "migrations", lambda: first)
        connection, _ = database.open_file(tmp_path, START)
        connection.execute("INSERT INTO meta (key, value) VALUES ('a', 'kept')")
        connection.close()
    connection, word = database.open_file(tmp_path, START)
    rows = [row["value"] for row in connection.execute("SELECT value FROM meta WHERE key = 'a'")]
    counted = connection.execute("SELECT count(*) FROM ignored_runs").fetchone()[0]
    assert (word, version(connection), rows, counted) == ("", database.migrations()[-1][0], ["kept"], 0)
    connection.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "torch")
    known = database.migrations()
    with monkeypatch.context() as patched:
        patched.setattr(database, "migrations", lambda: (*known, (9999, SECOND[1] + "\nSELECT no_such_column;")))
        with pytest.raises(StateError, match="no_such_column"):
            database.open_file(tmp_path, START)
    connection, word = database.open_file(tmp_path, START)
    assert (word, version(connection), count(connection)) == ("", known[-1][0], 1)
    assert "second" not in connection.execute("SELECT * FROM usage").fetchone().keys()  # noqa: SIM118 - a Row
    connection.close()


# A copy to look at


def test_a_copy_of_nothing_is_empty_and_makes_no_file(tmp_path: Path) -> None:
    copy = database.open_copy(tmp_path)
    assert (count(copy), list(tmp_path.iterdir())) == (0, [])
    copy.close()


def test_a_copy_leaves_the_file_untouched_while_a_writer_has_it_open(tmp_path: Path) -> None:
    make(tmp_path, "torch")
    writer, _ = database.open_file(tmp_path, START)
    writer.execute("INSERT INTO meta (key, value) VALUES ('a', 'committed')")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO meta (key, value) VALUES ('b', 'not yet')")
    before = {name: data for name, data in contents(tmp_path).items() if not name.endswith("-shm")}
    copy = database.open_copy(tmp_path)
    copy.execute("DELETE FROM usage")
    seen = [row["value"] for row in copy.execute("SELECT value FROM meta WHERE key IN ('a', 'b')")]
    assert seen == ["committed"]
    assert {name: data for name, data in contents(tmp_path).items() if not name.endswith("-shm")} == before
    writer.execute("ROLLBACK")
    assert count(writer) == 1
    copy.close()
    writer.close()


def test_a_copy_of_an_older_file_is_migrated_and_the_file_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "torch")
    known = database.migrations()
    with monkeypatch.context() as patched:
        patched.setattr(database, "migrations", lambda: (*known, SECOND))
        copy = database.open_copy(tmp_path)
        assert version(copy) == 9999
        copy.close()
    connection, _ = database.open_file(tmp_path, START)
    assert version(connection) == known[-1][0]
    connection.close()


def test_a_damaged_file_is_not_copied_and_not_moved(tmp_path: Path) -> None:
    (tmp_path / database.FILE).write_bytes(b"rubbish" * 999)
    with pytest.raises(StateDamaged):
        database.open_copy(tmp_path)
    assert contents(tmp_path) == {database.FILE: b"rubbish" * 999}


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MB of its own."""
    proc.require_root()
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", folder], capture_output=True, check=False)
    proc.require(done.returncode == 0, f"no tmpfs can be mounted: {done.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))


def big() -> NewEvent:
    return NewEvent("torchkeeper.sweep", START, None, {"text": "x" * 1_000_000})


async def test_on_a_full_disk_the_reserve_is_released_and_the_work_is_done(small_disk: Path) -> None:
    connection, _ = database.open_file(small_disk, START)
    store = Store(connection, small_disk)
    assert reserve.keep(small_disk)
    fill(small_disk)
    await store.log(big())
    assert [row.seq for row in await store.unsent(0, 9)] == [1]
    assert not (small_disk / reserve.FILE).exists()
    await store.close()


async def test_on_a_full_disk_without_a_reserve_the_old_data_stay_whole(small_disk: Path) -> None:
    connection, _ = database.open_file(small_disk, START)
    store = Store(connection, small_disk)
    await store.log(big())
    fill(small_disk)
    with pytest.raises(StateFull, match="is full"):
        await store.log(big())
    assert [row.seq for row in await store.unsent(0, 9)] == [1]
    (small_disk / "ballast").unlink()
    await store.log(big())
    assert [row.seq for row in await store.unsent(0, 9)] == [1, 2]
    await store.close()


def test_a_reserve_that_does_not_fit_is_not_there(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(10_000_000))
    assert not reserve.keep(small_disk)
    assert not (small_disk / reserve.FILE).exists()
    (small_disk / "ballast").unlink()
    assert reserve.keep(small_disk)
    assert reserve.keep(small_disk)
    assert (reserve.release(small_disk), reserve.release(small_disk)) == (True, False)
