"""The lock on a state folder: only one agent or sweep writes to it at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from agent.adapters import folder as folders
from agent.adapters import sharing

FILE = "agent.lock"
PATIENCE = 1.0  # seconds; a command that checks whether an agent runs has the lock for a moment


class StateBusy(Exception):
    """Another torchkeeper writes to this state folder; the message says what to do instead."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"an agent runs on {folder} and sweeps by itself; "
            "see `torchkeeper plan` for what it will do, or stop it first"
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only writer of a state folder inside the block. Raises StateBusy if another one writes, and StateError."""
    lock = FileLock(folder / FILE, timeout=PATIENCE)
    try:
        lock.acquire()
        folders.give_to_owner(folder / FILE)
        sharing.share_file(folder / FILE)
    except Timeout:
        raise StateBusy(folder) from None
    except OSError as error:
        raise folders.unusable(folder / FILE, error) from None
    try:
        yield
    finally:
        lock.release()


def busy(folder: Path) -> bool:
    """Whether an agent or a sweep has the lock now; False if this user may not read the lock file."""
    try:
        handle = os.open(folder / FILE, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
