"""Finds out who listens on a Unix socket: the engine itself, or something in front of it, such as a socket proxy.

If the engine itself listened before, a socket without a listener means that the engine does not run. If a proxy did,
its end says nothing about the engine behind it.
"""

import asyncio
import contextlib
import socket
import struct
from pathlib import Path

CONNECT_TIMEOUT = 5.0  # seconds
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
_ENGINE = "dockerd"
_SYSTEMD = ("systemd", "init")  # with socket activation it is systemd, as PID 1, that listens for the engine


async def is_engine(url: str) -> bool:
    """Whether the engine itself listens on `unix://PATH`. False if that cannot be known, and for any other URL."""
    scheme, _, path = url.partition("://")
    if scheme != "unix":
        return False
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_unix_connection(path)
    except (OSError, TimeoutError):
        return False
    try:
        return names_engine(_listener_pid(writer.get_extra_info("socket")))
    except OSError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def names_engine(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether a process is the engine, by its name in /proc.

    The kernel reports PID 0 for a process that this one cannot see, which is the case for the host's processes from
    inside a container. PID 1 counts only if it is systemd: a proxy can be PID 1 of a container.
    """
    if pid <= 0:
        return False
    try:
        name = (proc / str(pid) / "comm").read_text().strip()
    except (OSError, ValueError):
        return False
    return name == _ENGINE or (pid == 1 and name in _SYSTEMD)


def _listener_pid(connected: socket.socket) -> int:
    """The process that called `listen`, as the kernel recorded it (SO_PEERCRED)."""
    pid, _, _ = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(pid)
