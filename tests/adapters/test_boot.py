"""Boots: the kernel's ID, and the shutdowns that wtmp records."""

import struct
from datetime import datetime, timedelta
from pathlib import Path

from agent.adapters import boot
from agent.core.timekeeping import ClockReading
from agent.core.usage.continuity import Boot
from tests.support.builders import NOW
from tests.support.times import HOUR

READING = ClockReading(wall=NOW, steady=3600.0, boot="b2")


def row(user: str, at: datetime, kind: int = 1) -> bytes:
    return struct.pack(
        boot._ROW.format, kind, 0, b"~", b"~~", user.encode(), b"", 0, 0, 0, int(at.timestamp()), 0, 0, 0, 0, 0
    )


def test_the_boot_is_the_kernels() -> None:
    assert boot.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_the_last_shutdown_before_the_boot_is_reported(tmp_path: Path) -> None:
    ended = NOW - 2 * HOUR
    wtmp = tmp_path / "wtmp"
    wtmp.write_bytes(
        row("shutdown", ended - HOUR)
        + row("shutdown", ended)
        + row("reboot", NOW - HOUR, kind=2)
        + row("runlevel", NOW - HOUR)
        + row("shutdown", NOW - timedelta(minutes=1))
    )
    assert boot.last(READING, wtmp) == Boot(id="b2", at=NOW - HOUR, shutdown=ended)


def test_a_wtmp_that_is_missing_or_damaged_reports_nothing(tmp_path: Path) -> None:
    nothing = Boot(id="b2", at=NOW - HOUR)
    assert boot.last(READING, tmp_path / "none") == nothing
    (tmp_path / "wtmp").write_bytes(b"rubbish" * 100)
    assert boot.last(READING, tmp_path / "wtmp") == nothing


def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "wtmp").write_bytes(row("shutdown", NOW - 2 * HOUR) + b"\x01\x00\x00")
    assert boot.last(READING, tmp_path / "wtmp").shutdown == NOW - 2 * HOUR
