"""The permissions of the state: for the group where it exists, else for the owner alone."""

import grp
import os
import stat
from pathlib import Path

import pytest

from agent.adapters import folder, lock, overrides, sharing
from agent.adapters.sqlite import state_dir
from tests.support import proc

GID = 64_900  # no system has such a group


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder that somebody made with the usual mode."""
    proc.require_root()
    place = tmp_path / "state"
    place.mkdir()
    place.chmod(0o755)
    return place


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group exists."""
    found = grp.struct_group((sharing.GROUP, "x", GID, ["alice"]))
    monkeypatch.setattr(sharing, "_group", lambda: found)


@pytest.fixture
def no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_group", lambda: None)


def mode(path: Path) -> tuple[str, int]:
    found = path.stat()
    return oct(stat.S_IMODE(found.st_mode)), found.st_gid


@pytest.mark.usefixtures("group")
def test_with_the_group_its_members_may_read_and_change_the_overrides(state: Path) -> None:
    folder.prepare(state)
    overrides.prepare(state)
    with lock.locked(state):
        assert mode(state / lock.FILE) == ("0o640", GID)
    overrides.change(state, lambda held: held)
    assert [mode(path) for path in (state, state / overrides.FOLDER, state / overrides.FILE)] == [
        ("0o2750", GID),
        ("0o2770", GID),
        ("0o660", GID),
    ]
    assert sharing.why_not_shared(state) == ""


@pytest.mark.usefixtures("no_group")
def test_without_the_group_others_lose_what_they_had(state: Path) -> None:
    folder.prepare(state)
    overrides.prepare(state)
    overrides.change(state, lambda held: held)
    with lock.locked(state):
        found = [mode(path)[0] for path in (state, state / overrides.FOLDER, state / overrides.FILE, state / lock.FILE)]
    assert found == ["0o750", "0o700", "0o600", "0o600"]


@pytest.mark.usefixtures("group")
def test_a_folder_of_other_programs_keeps_its_mode(state: Path) -> None:
    (state / "somebody-elses").touch()
    folder.prepare(state)
    overrides.prepare(state)
    assert (mode(state), mode(state / overrides.FOLDER)) == (("0o755", 0), ("0o2770", GID))
    assert sharing.why_not_shared(state).endswith(f"cannot read {state}: that folder has files of other programs")


@pytest.mark.usefixtures("group")
def test_an_agent_that_is_not_in_the_group_says_that_its_state_stays_private(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 64_001)
    monkeypatch.setattr(sharing, "user_name", lambda: "agent")
    place = state_dir.place_for_run(state)
    assert place.notes == (f"the group torchkeeper exists, but cannot read {state}: agent is not in it",)
    assert mode(state) == ("0o750", 0)


def test_a_person_is_the_user_or_who_used_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert sharing.person() == sharing.user_name()
    monkeypatch.setenv("SUDO_USER", "bob\x1b[31m" + "x" * 200)
    assert (sharing.person()[:8], len(sharing.person())) == ("bob\ufffd[31m", sharing.LONGEST_NAME)


@pytest.mark.usefixtures("group")
def test_nothing_is_shared_or_written_through_a_link(state: Path, tmp_path: Path) -> None:
    secret, private = tmp_path / "secret", tmp_path / "private"
    secret.touch(mode=0o600)
    private.mkdir(mode=0o700)
    (state / "state.db").symlink_to(secret)
    (state / "reserve").hardlink_to(secret)
    (state / overrides.FOLDER).symlink_to(private)
    for name in ("state.db", "reserve"):
        sharing.share_file(state / name)
    with pytest.raises(NotADirectoryError):
        overrides.change(state, lambda held: held)
    assert (mode(secret), mode(private), list(private.iterdir())) == (("0o600", 0), ("0o700", 0), [])


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(
    ("name", "groups", "said"),
    [
        (
            "mallory",
            {64_001},
            "only the group torchkeeper may use it: run `sudo usermod -aG torchkeeper mallory`",
        ),
        ("alice", {64_002}, "alice joined the group torchkeeper after this login: log in again"),
        ("alice", {GID}, sharing.AS_OWNER),
    ],
)
def test_the_way_in_depends_on_who_asks(
    state: Path, monkeypatch: pytest.MonkeyPatch, name: str, groups: set[int], said: str
) -> None:
    folder.prepare(state)
    monkeypatch.setattr("os.geteuid", lambda: 64_001)
    monkeypatch.setattr(sharing, "_own_groups", lambda: groups)
    monkeypatch.setattr(sharing, "user_name", lambda: name)
    assert sharing.way_in(state / "state.db").startswith(said)
    os.chown(state, 0, 0)
    assert sharing.way_in(state / "state.db") == sharing.AS_OWNER  # the group would not help
