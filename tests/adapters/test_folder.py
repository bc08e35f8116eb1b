"""The state folder on its disk: made for its owner alone, and each reason against it named with the way out."""

import errno
import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.adapters import folder, reserve
from agent.adapters.sqlite import database
from agent.adapters.state_errors import StateError, StateFull
from tests.support import proc


def test_it_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder.prepare(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_link_to_a_folder_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    folder.prepare(tmp_path / "link")
    folder.prepare(tmp_path / "link" / "below")
    assert (tmp_path / "real" / "below").is_dir()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("file", "agent.state_dir: {0}/file is not a folder; set a folder"),
        ("file/state", "agent.state_dir: {0}/file is not a folder; set a folder"),
        ("nowhere", "agent.state_dir: {0}/nowhere is a dangling link to {0}/gone; create that folder, or set"),
        ("nowhere/state", "agent.state_dir: {0}/nowhere is a dangling link to {0}/gone; create that folder"),
        ("loop", "agent.state_dir: {0}/loop is a dangling link to {0}/loop"),
        ("x" * 300, "File name too long; check its disk, or set another folder"),
    ],
)
def test_a_path_that_is_no_folder_is_named(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(StateError) as caught:
        folder.prepare(tmp_path / path)
    assert message.format(tmp_path) in str(caught.value)
    assert "writable" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.EROFS, StateError, "is on a read-only file system; remount it, or set another folder"),
        (errno.EACCES, StateError, f"Permission denied for uid {os.geteuid()}; it belongs to "),
        (errno.EPERM, StateError, "run this as that user, or set another folder"),
        (errno.ENOSPC, StateFull, "is full, and the reserve there is used up; free some room"),
        (errno.EDQUOT, StateFull, "is full, and the reserve there is used up; free some room"),
        (errno.EIO, StateError, "Input/output error; check its disk, or set another folder"),
    ],
)
def test_each_refusal_of_the_system_has_its_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception], message: str
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(StateError) as caught:
        folder.probe(tmp_path)
    assert type(caught.value) is kind
    assert str(caught.value).startswith("agent.state_dir: ")
    assert str(tmp_path) in str(caught.value)
    assert message in str(caught.value)


def test_on_a_full_disk_the_reserve_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / reserve.FILE
    file.touch()

    def full_until_released(**_: object) -> io.BytesIO:
        if file.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return io.BytesIO()

    monkeypatch.setattr("tempfile.TemporaryFile", full_until_released)
    folder.prepare(tmp_path)
    assert not file.exists()


@pytest.fixture
def somebodys(tmp_path: Path) -> Path:
    """A folder of a user without root."""
    proc.require_root()
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    return folder


def test_what_root_made_is_given_to_the_owner_of_the_folder(somebodys: Path) -> None:
    made = somebodys / "made"
    made.touch()
    folder.give_to_owner(made)
    assert (made.stat().st_uid, made.stat().st_gid) == (65534, 65534)


def test_nothing_of_roots_is_given_away_through_a_link(tmp_path: Path, somebodys: Path) -> None:
    linked, named = tmp_path / "linked", tmp_path / "named"
    link, name, pipe = somebodys / "link", somebodys / "name", somebodys / "pipe"
    for secret in (linked, named):
        secret.touch()
    link.symlink_to(linked)
    name.hardlink_to(named)
    os.mkfifo(pipe)
    for path in (link, name, pipe, somebodys / "none"):
        folder.give_to_owner(path)
    assert {path.stat().st_uid for path in (linked, named, pipe)} == {0}


def test_what_cannot_be_looked_into_is_not_taken_for_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    assert not folder.is_there(tmp_path / "none")
    monkeypatch.setattr(Path, "lstat", denied)
    with pytest.raises(StateError, match="Permission denied"):
        folder.is_there(tmp_path / "none")


def test_giving_the_state_to_its_owner_leaves_the_locks_of_sqlite_on_it(tmp_path: Path) -> None:
    """Without its locks, the next process that closes the file deletes the log that is still written to."""
    proc.require_root()
    connection, _ = database.open_file(tmp_path, datetime.now(UTC))
    connection.execute("INSERT INTO meta VALUES ('written', 'before')")
    log = tmp_path / f"{database.FILE}-wal"
    before = log.stat().st_ino
    for name in database.FILES:
        folder.give_to_owner(tmp_path / name)
    reader = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM meta').fetchall()"
    subprocess.run([sys.executable, "-c", reader, str(tmp_path / database.FILE)], check=True)
    assert (log.exists(), log.exists() and log.stat().st_ino) == (True, before)
    connection.close()
