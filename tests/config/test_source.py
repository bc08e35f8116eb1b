"""The configuration file of a running agent: when it has changed, and what is not taken for its new content."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.config.settings import ConfigError
from agent.config.source import SettingsSource

WEEK, FORTNIGHT = timedelta(days=7), timedelta(days=14)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "c.toml")


def write(path: Path, ttl: str = "14d") -> Path:
    path.write_text(f"[policy]\nttl = '{ttl}'\n")
    return path


def read(path: Path) -> SettingsSource:
    source = SettingsSource(path)
    source.read()
    return source


def looks(source: SettingsSource, count: int = 3) -> list[bool]:
    return [source.has_changed() for _ in range(count)]


def overwrite(path: Path) -> None:
    write(path, "7d")


def rename(path: Path) -> None:
    """As editors and `mv` do."""
    write(path.with_suffix(".new"), "7d").replace(path)


def keep_times(path: Path) -> None:
    """As `rsync --inplace --times` does, and `cp -p`."""
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # file systems count time in steps of milliseconds
        path.write_text(path.read_text().replace("14", "07"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [overwrite, rename, keep_times])
def test_a_change_counts_once_it_stood_still_for_one_look(file: Path, change: Callable[[Path], None]) -> None:
    source = read(file)
    assert looks(source) == [False, False, False]
    change(file)
    assert looks(source) == [False, True, True]
    assert source.read().policy.ttl == WEEK
    assert looks(source) == [False, False, False]


def test_a_change_right_after_the_first_read_is_seen(file: Path) -> None:
    source = read(file)
    write(file, "7d")
    assert looks(source) == [False, True, True]


def test_a_file_that_is_being_written_is_left_alone(file: Path) -> None:
    source = read(file)
    for size in range(1, 5):
        file.write_text("#" * size)
        assert not source.has_changed()
    assert source.has_changed()


def test_the_links_of_a_config_map_are_followed(tmp_path: Path) -> None:
    """Kubernetes writes a new folder and renames a link to it; the file's own path is a link that never changes."""
    for name, ttl in (("1", "14d"), ("2", "7d")):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "c.toml", ttl)
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "c.toml").symlink_to("..data/c.toml")
    source = read(tmp_path / "c.toml")
    (tmp_path / "..tmp").symlink_to("2")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    assert looks(source, 2) == [False, True]
    assert source.read().policy.ttl == WEEK


def test_a_file_that_is_gone_is_refused_and_its_return_is_seen(file: Path) -> None:
    source = read(file)
    file.unlink()
    assert looks(source, 2) == [False, True]
    with pytest.raises(ConfigError, match=f"^{file}: is no longer there; bring it back$"):
        source.read()
    write(file)
    assert looks(source, 2) == [False, True]
    assert source.read().policy.ttl == FORTNIGHT


def test_a_default_file_that_is_gone_is_refused_too(file: Path) -> None:
    source = SettingsSource(None, default=file, environ={})
    source.read()
    file.unlink()
    with pytest.raises(ConfigError, match="is no longer there"):
        source.read()


def test_a_default_file_that_appears_is_read(tmp_path: Path) -> None:
    source = SettingsSource(None, default=tmp_path / "c.toml", environ={})
    assert (source.read().policy.ttl, source.file) == (FORTNIGHT, None)
    write(tmp_path / "c.toml", "7d")
    assert looks(source, 2) == [False, True]
    assert (source.read().policy.ttl, source.file) == (WEEK, tmp_path / "c.toml")


def test_a_file_that_a_full_disk_left_empty_does_not_bring_the_defaults_back(file: Path) -> None:
    source = read(file)
    file.write_text("")
    with pytest.raises(ConfigError, match="is empty; write its keys again"):
        source.read()


def test_a_file_that_was_empty_at_the_start_may_stay_so_until_a_restart(tmp_path: Path) -> None:
    (tmp_path / "c.toml").touch()
    assert SettingsSource(tmp_path / "c.toml").read().policy.ttl == FORTNIGHT


def test_a_pipe_is_read_once() -> None:
    """`--config <(...)`: a second read would wait for ever, or find nothing."""
    end, start = os.pipe()
    os.write(start, b"[policy]\nttl = '7d'\n")
    os.close(start)
    try:
        source = SettingsSource(Path(f"/dev/fd/{end}"))
        assert source.read().policy.ttl == WEEK
        assert looks(source) == [False, False, False]
        with pytest.raises(ConfigError, match="is a pipe, which can be read only once"):
            source.read()
    finally:
        os.close(end)


def test_the_environment_and_observe_override_each_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHKEEPER_POLICY__TTL", "3d")
    source = SettingsSource(file, observe=True)
    for ttl in ("14d", "7d"):
        write(file, ttl)
        settings = source.read()
        assert (settings.policy.ttl, settings.agent.mode) == (timedelta(days=3), "observe")


def test_a_file_that_becomes_readable_by_another_mode_is_a_change(file: Path) -> None:
    source = read(file)
    file.chmod(0o600)
    assert looks(source, 2) == [False, True]
