"""Background processes, which are ended only by their own process IDs."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from agent.demo.errors import DemoError

POLL = 0.05  # seconds between two checks
GRACE = 15.0  # seconds from SIGTERM to SIGKILL
AFTER_KILL = 5.0  # seconds until a killed process must be gone


def own_command() -> list[str]:
    """How to start this program again. In the Debian package `sys.executable` is the program itself, not Python."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [sys.executable, "-P", "-m", "agent"]  # -P: ignore a package of that name in the working directory


class Daemon:
    """One background process, in its own session, so that Ctrl-C at the terminal does not reach it."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - programs that the caller found
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(env), start_new_session=True
            )

    async def until(self, ready: Callable[[], Awaitable[bool]], timeout: float) -> None:
        """Wait until `ready` returns True. Raises DemoError, with its last log line, if it ends or takes too long."""
        end = time.monotonic() + timeout
        while not await ready():
            self.check()
            if time.monotonic() > end:
                raise DemoError(f"{self.name} was not ready within {timeout:.0f} s: {self.last_line()}")
            await asyncio.sleep(POLL)

    def check(self) -> None:
        """Raise DemoError if the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise DemoError(f"{self.name} ended by itself with {code}: {self.last_line()}")

    def last_line(self) -> str:
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[-300:] if lines else "its log is empty"

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after GRACE."""
        if self._process.poll() is None:
            self._process.terminate()
        if not await _within(GRACE, self._gone):
            self._process.kill()
            await _within(AFTER_KILL, self._gone)

    def _gone(self) -> bool:
        return self._process.poll() is not None


async def end_all_of(folder: Path) -> list[int]:
    """Kill all processes with a path below `folder` in their arguments, and their children. Returns remaining PIDs."""
    for pid in _processes_of(folder):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    await _within(AFTER_KILL, lambda: not _processes_of(folder))
    return _processes_of(folder)


async def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(POLL)
    return True


def _processes_of(folder: Path) -> list[int]:
    """The processes with a path below `folder` in their arguments, like containerd's shims, and their children."""
    mark = f"{folder}/".encode()
    pids = {pid for pid, argv in _read("cmdline").items() if mark in argv} - {os.getpid()}
    # The name in brackets may contain spaces and brackets; the parent is the second word after it.
    parents = {pid: int(stat.rpartition(b")")[2].split()[1]) for pid, stat in _read("stat").items()}
    while more := {pid for pid, parent in parents.items() if parent in pids} - pids:
        pids |= more
    return sorted(pids)


def _read(name: str) -> dict[int, bytes]:
    contents = {}
    for entry in Path("/proc").glob(f"[0-9]*/{name}"):
        with contextlib.suppress(OSError):
            if text := entry.read_bytes():
                contents[int(entry.parent.name)] = text
    return contents
