"""Pins and the pause in their file: whole, readable, and never lost to another writer."""

import fcntl
import json
import os
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.adapters import overrides
from agent.core.policy.overrides import Overrides, Pin
from tests.support import overrides_by_hand
from tests.support.builders import make_id

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
UNTIL = datetime(2026, 4, 1, 12, tzinfo=UTC)
ID = make_id("torch")
PIN = Pin(id=ID, reference="team/torch:1", at=AT, until=UNTIL, reason="a paper", by="alice")
EVERYTHING = Overrides(
    pins=(PIN,), paused=True, paused_at=AT, paused_until=UNTIL, pause_reason="a demo", paused_by="bob"
)


def write(folder: Path, text: str) -> None:
    overrides_by_hand.path(folder).write_text(text)


def test_without_a_file_nothing_is_held(tmp_path: Path) -> None:
    assert overrides.load(tmp_path) == Overrides()


@pytest.mark.parametrize("held", [EVERYTHING, Overrides(), Overrides(pins=(replace(PIN, reference="", until=None),))])
def test_what_is_written_is_read_back(tmp_path: Path, held: Overrides) -> None:
    assert overrides.change(tmp_path, lambda _: held) == held
    assert overrides.load(tmp_path) == held


def test_the_file_is_one_that_people_can_read(tmp_path: Path) -> None:
    overrides.change(tmp_path, lambda _: Overrides(pins=(PIN,)))
    assert json.loads((tmp_path / overrides.FILE).read_text())["pins"] == [
        {
            "id": ID,
            "reference": "team/torch:1",
            "at": "2026-03-01T12:00:00Z",
            "until": "2026-04-01T12:00:00Z",
            "reason": "a paper",
            "by": "alice",
        }
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"pin": []}',
        '{"pins": [{"id": "x"}]}',
        '{"pins": [{"id": "x", "at": "2026-03-01T12:00:00"}]}',
        '{"pins": [{"id": "x", "at": "yesterday"}]}',
        '{"pause": {"at": "2026-03-01T12:00:00Z", "unti": null}}',
    ],
)
def test_a_file_that_is_not_understood_is_unreadable(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(overrides.OverridesUnreadable, match="nothing is evicted until then"):
        overrides.load(tmp_path)


def test_bytes_that_are_not_text_are_unreadable(tmp_path: Path) -> None:
    overrides_by_hand.path(tmp_path).write_bytes(b'{"pins": [], "\xff": 1}')
    with pytest.raises(overrides.OverridesUnreadable):
        overrides.load(tmp_path)


def test_a_folder_in_its_place_is_unreadable(tmp_path: Path) -> None:
    overrides_by_hand.path(tmp_path).mkdir()
    with pytest.raises(overrides.OverridesUnreadable, match=r"is not a file; .*; nothing is evicted until then"):
        overrides.load(tmp_path)


def test_an_unreadable_file_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path, "{")
    with pytest.raises(overrides.OverridesUnreadable):
        overrides.change(tmp_path, lambda _: EVERYTHING)
    assert (tmp_path / overrides.FILE).read_text() == "{"


def test_a_change_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides.change(tmp_path, lambda _: EVERYTHING)
    before = set(tmp_path.iterdir())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        overrides.change(tmp_path, lambda _: Overrides())
    assert (overrides.load(tmp_path), set(tmp_path.iterdir())) == (EVERYTHING, before)


def test_writers_at_once_lose_no_pin(tmp_path: Path) -> None:
    def pin(number: int) -> None:
        added = replace(PIN, id=make_id(str(number)))
        overrides.change(tmp_path, lambda held: replace(held, pins=(*held.pins, added)))

    writers = [threading.Thread(target=pin, args=(number,)) for number in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert {found.id for found in overrides.load(tmp_path).pins} == {make_id(str(number)) for number in range(16)}


def test_its_stamp_changes_with_the_file_and_only_then(tmp_path: Path) -> None:
    missing = overrides.stamp(tmp_path)
    overrides.change(tmp_path, lambda _: Overrides())
    first = overrides.stamp(tmp_path)
    assert overrides.stamp(tmp_path) == first
    overrides.change(tmp_path, lambda _: Overrides())
    assert len({missing, first, overrides.stamp(tmp_path)}) == 3


# Its former place


def test_a_file_in_the_former_place_is_read_and_moved_by_the_next_start(tmp_path: Path) -> None:
    former = tmp_path / overrides.FORMER
    overrides.change(tmp_path, lambda _: EVERYTHING)
    (tmp_path / overrides.FILE).rename(former)
    assert overrides.load(tmp_path) == EVERYTHING
    overrides.prepare(tmp_path)
    assert (overrides.load(tmp_path), former.exists()) == (EVERYTHING, False)


def test_a_change_moves_it_first_and_loses_nothing(tmp_path: Path) -> None:
    overrides.change(tmp_path, lambda _: EVERYTHING)
    (tmp_path / overrides.FILE).rename(tmp_path / overrides.FORMER)
    assert overrides.change(tmp_path, lambda held: replace(held, pause_reason="longer")).pins == (PIN,)
    assert not (tmp_path / overrides.FORMER).exists()


def test_a_file_in_both_places_is_unreadable_and_neither_is_changed(tmp_path: Path) -> None:
    overrides.change(tmp_path, lambda _: EVERYTHING)
    (tmp_path / overrides.FORMER).write_text("{}")
    overrides.prepare(tmp_path)
    with pytest.raises(overrides.OverridesUnreadable, match=r"both exist; put all pins into .*; nothing is evicted"):
        overrides.change(tmp_path, lambda _: Overrides())
    (tmp_path / overrides.FORMER).unlink()
    assert overrides.load(tmp_path) == EVERYTHING


# What anybody in the group may put there


@pytest.mark.parametrize("planted", ["link", "dangling link", "pipe", "socket", "huge"])
def test_what_is_not_a_file_of_pins_is_unreadable_and_does_not_block(tmp_path: Path, planted: str) -> None:
    path, real = overrides_by_hand.path(tmp_path), tmp_path / "real"
    real.write_text("{}")
    match planted:
        case "link":
            path.symlink_to(real)
        case "dangling link":
            path.symlink_to(tmp_path / "none")
        case "pipe":
            os.mkfifo(path)
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
        case "huge":
            path.touch()
            os.truncate(path, 10**12)
    with pytest.raises(overrides.OverridesUnreadable, match="nothing is evicted until then"):
        overrides.load(tmp_path)


def test_a_writer_that_never_ends_makes_the_next_one_give_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overrides, "PATIENCE", 0.1)
    overrides.prepare(tmp_path)
    holder = os.open(tmp_path / overrides.FOLDER, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="another command is changing it now; try again"):
        overrides.change(tmp_path, lambda _: EVERYTHING)
    os.close(holder)
    assert overrides.change(tmp_path, lambda _: EVERYTHING) == EVERYTHING


def test_a_folder_that_is_deleted_and_made_again_is_another_folder(tmp_path: Path) -> None:
    overrides.prepare(tmp_path)
    before = overrides.identity(tmp_path)
    (tmp_path / overrides.FOLDER).rename(tmp_path / "moved")
    assert overrides.identity(tmp_path) is None
    overrides.prepare(tmp_path)
    assert before != overrides.identity(tmp_path) is not None


def test_a_reason_that_is_too_long_to_be_sent_is_refused(tmp_path: Path) -> None:
    write(tmp_path, json.dumps({"pause": {"at": "2026-03-01T12:00:00Z", "reason": "x" * 1001}}))
    with pytest.raises(overrides.OverridesUnreadable, match="at most 1000 characters"):
        overrides.load(tmp_path)
