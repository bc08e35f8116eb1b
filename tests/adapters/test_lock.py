"""One writer on a state folder, and a question about it that never gets into the writer's way."""

import fcntl
import threading
from pathlib import Path

import pytest

from agent.adapters.lock import FILE, StateBusy, busy, locked
from agent.adapters.state_errors import StateError


def test_a_second_writer_is_refused_and_the_folder_is_busy_until_the_first_ends(tmp_path: Path) -> None:
    assert not busy(tmp_path)
    with locked(tmp_path):
        assert busy(tmp_path)
        with pytest.raises(StateBusy, match="see `torchkeeper plan`"), locked(tmp_path):
            pass
    assert not busy(tmp_path)


def test_asking_makes_and_changes_nothing(tmp_path: Path) -> None:
    assert not busy(tmp_path / "none")
    assert not busy(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_start_waits_for_a_command_that_asks_at_this_moment(tmp_path: Path) -> None:
    with (tmp_path / FILE).open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        done = threading.Timer(0.2, lambda: fcntl.flock(asking, fcntl.LOCK_UN))
        done.start()
        with locked(tmp_path):
            assert busy(tmp_path)
        done.join()


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StateError, match=f"agent.state_dir: {tmp_path / FILE}"), locked(tmp_path):
        pass
