"""Which state folder: the rule that every command asks, without a command."""

import shutil
from pathlib import Path

import pytest

from agent.adapters import overrides
from agent.adapters.lock import StateBusy, locked
from agent.adapters.sqlite import state_dir
from agent.adapters.state_errors import StateError


@pytest.fixture
def xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "torchkeeper"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    return tmp_path / "var" / "torchkeeper"


def cannot_make(monkeypatch: pytest.MonkeyPatch, *, uid: int) -> None:
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setattr("os.access", lambda *_, **__: False)


def used_instead(xdg: Path, configured: Path) -> None:
    (xdg / state_dir.INSTEAD_OF).write_text(f"{configured}\n")


@pytest.mark.parametrize(("uid", "falls_back"), [(0, False), (65534, True)])
def test_only_a_user_without_root_falls_back(
    xdg: Path, configured: Path, monkeypatch: pytest.MonkeyPatch, uid: int, falls_back: bool
) -> None:
    cannot_make(monkeypatch, uid=uid)
    assert state_dir.resolve(configured).folder == (xdg if falls_back else configured)


def test_a_folder_that_is_there_is_the_one_whoever_may_write_to_it(
    xdg: Path, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cannot_make(monkeypatch, uid=65534)
    configured.mkdir(parents=True)
    assert state_dir.resolve(configured) == state_dir.Place(configured)


def test_a_folder_that_can_be_made_is_the_one_and_asking_makes_nothing(xdg: Path, configured: Path) -> None:
    assert state_dir.resolve(configured) == state_dir.Place(configured)
    assert not configured.parent.exists()


def test_a_home_that_is_not_known_is_nothing_to_fall_back_to(configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cannot_make(monkeypatch, uid=65534)
    monkeypatch.setattr(state_dir, "xdg_folder", lambda: Path("~/.local/state/torchkeeper"))
    assert state_dir.resolve(configured) == state_dir.Place(configured)


def test_as_long_as_an_agent_runs_on_the_fallback_it_is_the_one(xdg: Path, configured: Path) -> None:
    used_instead(xdg, configured)
    assert state_dir.place_to_change(configured).folder == configured
    shutil.rmtree(configured)
    with locked(xdg):
        assert state_dir.place_to_change(configured).folder == state_dir.place_to_look_at(configured).folder == xdg
        with pytest.raises(StateBusy, match=str(xdg)):
            state_dir.place_for_run(configured)


def test_an_agent_of_another_configuration_on_the_same_fallback_is_nobody_to_wait_for(
    xdg: Path, configured: Path
) -> None:
    used_instead(xdg, Path("/somewhere/else"))
    with locked(xdg):
        assert state_dir.agents_on(configured) == []
        assert state_dir.place_for_run(configured).folder == configured


def test_a_link_from_the_configured_folder_to_the_fallback_is_one_folder(xdg: Path, configured: Path) -> None:
    used_instead(xdg, configured)
    configured.parent.mkdir()
    configured.symlink_to(xdg)
    with locked(xdg):
        assert state_dir.agents_on(configured) == [configured]
        assert state_dir.place_to_change(configured) == state_dir.Place(configured)


def test_a_fallback_that_cannot_be_used_either_is_named_with_the_reason_for_it(
    xdg: Path, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cannot_make(monkeypatch, uid=65534)
    xdg.rmdir()
    xdg.touch()
    with pytest.raises(StateError) as caught:
        state_dir.place_for_run(configured)
    assert str(caught.value).startswith(f"agent.state_dir: {configured} does not exist, and uid 65534 cannot create it")
    assert f"agent.state_dir: {xdg} is not a folder; set a folder" in str(caught.value)


def test_what_the_fallback_is_used_for_is_noted_once_and_survives(
    xdg: Path, configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cannot_make(monkeypatch, uid=65534)
    for _ in range(2):
        assert state_dir.place_for_run(configured).folder == xdg
    assert state_dir.used_instead_of(configured)
    assert not state_dir.used_instead_of(xdg)
    assert {path.name for path in xdg.iterdir()} == {state_dir.INSTEAD_OF, overrides.FOLDER}
