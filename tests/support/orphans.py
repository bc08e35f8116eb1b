"""Removes what a killed test run leaves behind: its daemons, their mounts and their folders.

A process that starts daemons has a keeper, from its first daemon on: another process, which outlives it and learns of
all daemons through a pipe. The pipe closes when the run ends, in any way; then the keeper ends all remaining daemons.
"""

import atexit
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]


def note_process(pid: int) -> None:
    """Let the keeper end this process if the run cannot. It must be running now."""
    _tell(f"process {pid} {_started(pid)}")


def note_folder(folder: Path) -> None:
    """Let the keeper end all processes with this folder in their arguments, and remove it, if the run cannot."""
    _tell(f"folder {folder}")


def _tell(line: str) -> None:
    os.write(_keeper().fileno(), f"{line}\n".encode())  # in one write, as several threads may write


@functools.cache
def _keeper() -> IO[bytes]:
    """The pipe to this process's keeper."""
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.support.orphans"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C at the terminal must not end it
    )
    assert keeper.stdin is not None
    pipe = keeper.stdin

    def end() -> None:
        pipe.close()
        keeper.wait()

    atexit.register(end)
    return pipe


def _started(pid: int) -> str:
    """When a process started, to distinguish it from a later one with the same PID; "" if there is none."""
    try:
        # The name in brackets may contain spaces and brackets.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _clear_up(lines: Iterable[str]) -> None:
    noted = [line.rstrip("\n").partition(" ") for line in lines]
    for kind, _, what in noted:
        if kind == "process":
            pid, _, started = what.partition(" ")
            if started and _started(int(pid)) == started:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
    for folder in [Path(what) for kind, _, what in noted if kind == "folder"]:
        if folder.exists():
            _remove(folder)


def _remove(folder: Path) -> None:
    from tests.support import dockerd

    dockerd.end_processes_of(folder)
    for point in reversed(dockerd.mounts_under(folder)):
        subprocess.run(["umount", "--lazy", point], check=False)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _clear_up(list(sys.stdin))
