"""Durations, sizes and whole files of configuration."""

import contextlib
import json
import tempfile
from datetime import timedelta
from pathlib import Path

from agent.config import loading
from agent.config.settings import ConfigError
from agent.core import globs, units
from agent.core.policy import rules, schedule
from agent.daemon import in_force
from tests.fuzz import outcome
from tests.support.times import START

DURATIONS = (b"90s", b"12h", b"14d", b"0.5h", b"250ms", b"0", b"5214w", b"999999999w", b"1.000001 w")
SIZES = (b"200GB", b"10GiB", b"0.5TB", b"7B", b"85%", b"1000PB", b"999999999999999PiB", b"99.999 %")
FILES = (
    b'[policy]\nttl = "14d"\nkeep_newest = 2\nprotect = ["*:latest"]\n',
    b'[[policy.rules]]\nmatch = "team/*"\nttl = "30d"\n[images]\ninclude = ["a/*"]\nexclude = ["*/prod/*"]\n',
    b'[pressure]\nhigh = "85%"\nlow = "75%"\n[schedule]\nwindows = ["Mon-Fri 02:00-05:00"]\ntimezone = "Asia/Tokyo"\n',
    b'[mqtt]\nurl = "mqtts://[::1]:8883"\nprefix = "a/b"\n[usage]\nignore_containers = ["trivy*"]\n[agent]\nhost="a"',
    b'[pressure]\nbudget = "0xFFFF"\n[limits]\npause = 1979-05-27\nbytes_per_hour = inf\n',
)


def duration(data: bytes) -> None:
    """A value of up to 100 years that is read back the same, or ValueError in a printable line."""
    value, error = outcome.of(lambda: units.parse_duration(_text(data)), ValueError)
    assert error is None or _is_short(error)
    if value is not None:
        assert timedelta() <= value <= timedelta(days=36500)
        assert units.parse_duration(units.duration_text(value)) == value
        assert units.format_duration(value)
        assert START + value >= START


def size(data: bytes) -> None:
    """Bytes of up to 1000 PB, or a share between 0 and 1, or ValueError in a printable line."""
    count, refused = outcome.of(lambda: units.parse_size(_text(data)), ValueError)
    share, error = outcome.of(lambda: units.parse_percent(_text(data)), ValueError)
    assert all(one is None or _is_short(one) for one in (refused, error))
    assert count is None or 0 <= count <= 10**18
    assert share is None or 0 < share < 1
    assert count is None or share is None


def configuration(data: bytes) -> None:
    """Settings that decide and can be shown and used, or ConfigError."""
    with tempfile.NamedTemporaryFile(dir=_fast(), suffix=".toml") as file:
        Path(file.name).write_bytes(data)
        settings, error = outcome.of(lambda: loading.load(Path(file.name)), ConfigError)
    if settings is None:
        assert str(error)
        return
    policy = settings.core_policy()
    json.dumps(in_force.policy_in_force(settings))
    for pattern in (*policy.include, *policy.exclude, *policy.protect, *settings.usage.ignore_containers):
        globs.matches(pattern, "team/torch:1")
        rules.why_never_matches(pattern)
    schedule.next_opening(policy.schedule, START)
    with contextlib.suppress(OSError):  # a name that is too long
        Path("/", settings.agent.state_dir).stat()


def _text(data: bytes) -> str:
    """Any text, with halves of surrogate pairs, too."""
    return data.decode(errors="surrogateescape")


def _is_short(error: Exception) -> bool:
    return str(error).isprintable() and len(str(error)) < 300


def _fast() -> str | None:
    """A file system in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
