"""The machine's boots: the kernel's ID of the present one, and when the one before ended, if wtmp records it."""

import struct
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from agent.core.timekeeping import ClockReading
from agent.core.usage.continuity import Boot

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_WTMP = Path("/var/log/wtmp")
_ROW = struct.Struct("hi32s4s32s256shhiii4i20x")  # struct utmp of glibc, 384 bytes
_RUN_LEVEL = 1  # type of the row that a shutdown writes, with the user name "shutdown"
_LATEST = 4096  # rows read, from the end


@cache
def boot_id() -> str:
    """The kernel's ID of this boot; "" if it cannot be read."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def last(now: ClockReading, wtmp: Path = _WTMP) -> Boot:
    """This boot, with the time of the last orderly shutdown before it if wtmp records one."""
    before = [at for at in _shutdowns(wtmp) if at <= now.booted_at]
    return Boot(id=now.boot, at=now.booted_at, shutdown=max(before, default=None))


def _shutdowns(wtmp: Path) -> list[datetime]:
    try:
        with wtmp.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - size % _ROW.size - _LATEST * _ROW.size))
            data = stream.read()
    except OSError:
        return []
    whole = data[: len(data) - len(data) % _ROW.size]
    return [
        datetime.fromtimestamp(row[9], UTC) + timedelta(microseconds=row[10])
        for row in _ROW.iter_unpack(whole)
        if row[0] == _RUN_LEVEL and row[4].rstrip(b"\0") == b"shutdown"
    ]
