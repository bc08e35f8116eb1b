"""The journal of `explain --look-inside`, written before each container, so that one left by a crash is removed."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from agent.adapters import folder as folders
from agent.adapters.state_errors import StateError

FILE = "look-inside.json"
LOCK = "look-inside.lock"


@dataclass(frozen=True, slots=True)
class Entry:
    """A look inside an image that was begun and may have left a container."""

    token: str
    engine: str  # the engine's own ID
    image: str
    at: float  # seconds since 1970


class LookBusy(StateError):
    """Another look inside an image is under way on this host."""


@contextmanager
def turn(folder: Path, *, patience: float) -> Iterator[None]:
    """Be the only look inside an image on this host. Raises LookBusy after `patience` seconds.

    Inside the block, a container of any look in the journal is a leftover.
    """
    lock = FileLock(folder / LOCK, timeout=patience)
    try:
        lock.acquire()
        folders.give_to_owner(folder / LOCK)
    except Timeout:
        raise LookBusy(f"another look inside an image is under way ({folder / LOCK}); try again") from None
    except OSError as error:
        raise folders.unusable(folder / LOCK, error) from None
    try:
        yield
    finally:
        lock.release()


def is_empty(folder: Path) -> bool:
    return not (folder / FILE).exists()


def load(folder: Path) -> tuple[Entry, ...]:
    """Read the journal. Raises StateError if it cannot be read."""
    path = folder / FILE
    try:
        return tuple(Entry(**item) for item in json.loads(path.read_text()))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        hint = "remove it once no container has the label torchkeeper.look-inside"
        raise StateError(f"{path}: cannot be read ({error}); {hint}") from None


def save(folder: Path, entries: Sequence[Entry]) -> None:
    """Write the journal; it is on disk when this returns. Raises StateError."""
    path = folder / FILE
    try:
        if not entries:
            path.unlink(missing_ok=True)
            return
        folders.replace_file(path, json.dumps([asdict(entry) for entry in entries]).encode())
        _sync(folder)
    except OSError as error:
        raise folders.unusable(path, error) from None


def _sync(folder: Path) -> None:
    """Write the folder's own entries to disk: the name of the journal must survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
