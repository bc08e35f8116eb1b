"""The overrides (pins and the pause), in a small file that people also read and edit by hand.

If any part of the file is malformed or has no meaning, the whole file counts as unreadable, and nothing is evicted.
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from agent.adapters import folder as folders
from agent.adapters import overrides_file, reserve
from agent.core import text, units
from agent.core.policy.overrides import Overrides

FILE = "holds.json"
MOST_BYTES = 4_000_000  # some 15,000 pins; the file is read before every removal


class OverridesUnreadable(Exception):
    """The file with pins and the pause cannot be read; the message says why, and what to do."""

    def __init__(self, detail: str, hint: str, effect: str = "nothing is evicted until then") -> None:
        super().__init__(f"{detail}; {hint}; {effect}")
        self.detail = detail
        self.hint = hint
        self.effect = effect


def load(folder: Path) -> Overrides:
    """The pins and the pause in the file; none if there is no file yet. Raises OverridesUnreadable."""
    path = folder / FILE
    data = _read(path)
    try:
        return overrides_file.read(data) if data is not None else Overrides()
    except RecursionError:
        raise OverridesUnreadable(f"{path}: is nested too deeply", "correct the file") from None
    except ValueError as error:
        raise OverridesUnreadable(f"{path}: {text.clean(str(error))}", "correct that in the file") from None


def _read(path: Path) -> bytes | None:
    """The whole file; None if it does not exist."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would block forever
            raise OverridesUnreadable(f"{path}: is not a file", "put the file with the pins in its place")
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        if not path.is_symlink():
            return None
        raise OverridesUnreadable(f"{path}: is a dangling link", f"restore {path.readlink()}") from None
    except PermissionError as error:
        hint, effect = "run this as the agent's user", "an agent that may not read it evicts nothing"
        raise OverridesUnreadable(f"{path}: {error.strerror} for uid {os.geteuid()}", hint, effect) from None
    except OSError as error:
        raise OverridesUnreadable(f"{path}: {error.strerror}", "check its disk") from None
    if len(data) > MOST_BYTES:
        raise OverridesUnreadable(f"{path}: is larger than {units.format_bytes(MOST_BYTES)}", "take old pins out of it")
    return data


def change(folder: Path, edit: Callable[[Overrides], Overrides]) -> Overrides:
    """Edit the overrides, one writer at a time. A reader finds either the old file or the new one, complete.

    Raises OverridesUnreadable, OSError.
    """
    lock = folder / f"{FILE}.lock"
    try:
        with FileLock(lock, timeout=10):
            folders.give_to_owner(lock)
            overrides = edit(load(folder))
            _write(folder / FILE, overrides_file.text(overrides).encode())
    except Timeout:
        raise OSError(errno.EBUSY, "another command is changing it now; try again") from None
    return overrides


def identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode of a folder: they differ if an unmounted disk leaves an empty one. None if it does not exist."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def stamp(folder: Path) -> tuple[int, ...]:
    """A value that changes whenever the file changes."""
    try:
        status = (folder / FILE).stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _write(path: Path, data: bytes) -> None:
    """Write the file. On a full disk it releases the reserve, so that pins and pauses still work."""
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"would be larger than {units.format_bytes(MOST_BYTES)}; take old pins out of it")
    try:
        folders.replace_file(path, data)
    except OSError as error:
        if error.errno not in folders.FULL or not reserve.release(path.parent):
            raise
        folders.replace_file(path, data)
