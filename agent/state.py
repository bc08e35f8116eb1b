"""The state folder: which one, and who may write to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from agent.adapters import database, identity
from agent.adapters.store import Store

LOCK = "agent.lock"


class StateBusy(Exception):
    """Another torchkeeper writes to this state folder; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Look:
    """A copy of the state in memory, for commands that change nothing, and what to tell about it."""

    store: Store
    notes: tuple[str, ...]


def xdg_folder() -> Path:
    return platformdirs.user_state_path("torchkeeper")


def folder_for_run(configured: Path) -> tuple[Path, str]:
    """The folder that `run` writes to, prepared, and a word where it is not the configured one.

    Only `run` may fall back to the XDG state folder. Raises StateError where neither can be written.
    """
    try:
        database.prepare_folder(configured)
    except database.StateError as error:
        fallback = xdg_folder()
        database.prepare_folder(fallback)
        return fallback, f"{error}; using {fallback}"
    return configured, ""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the one writer of a state folder. Raises StateBusy where there is one already."""
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise StateBusy(
            f"an agent runs on {folder} and sweeps by itself; "
            "see `torchkeeper plan` for what it will do, or stop it first"
        ) from None
    try:
        yield
    finally:
        lock.release()


def busy(folder: Path) -> bool:
    """Whether an agent (or a sweep) has the folder now."""
    if not (folder / LOCK).exists():
        return False
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def open_store(folder: Path, now: datetime) -> tuple[Store, str]:
    """The state for writing, and a word where a damaged file was moved aside. Raises StateError.

    State that was copied from another machine is made this one's own: `Store.copied` says so.
    """
    connection, word = database.open_file(folder, now)
    database.keep_reserve(folder)
    copied = identity.settle(connection, folder)
    return Store(connection, folder, copied=copied), word


def look(folder: Path) -> Look:
    """The state for reading. Where there is none yet, that is said, and where it may be instead.

    Raises StateError where it cannot be read.
    """
    notes = [] if (folder / database.FILE).exists() else _notes_on_nothing(folder)
    try:
        copy = database.open_copy(folder)
    except database.StateDamaged as error:
        copy = database.open_copy(folder / "none")
        notes.append(f"{error}; the agent will move it aside, and every image will count as first seen then")
    return Look(Store(copy, None), tuple(notes))


def _notes_on_nothing(folder: Path) -> list[str]:
    elsewhere = xdg_folder()
    if elsewhere != folder and (elsewhere / database.FILE).exists():
        hint = f"the agent's state is in {elsewhere}: set agent.state_dir to it"
        return [f"no state in {folder}; {hint}. Until then every image counts as first seen now"]
    return [f"no agent has run here yet (no state in {folder}): every image counts as first seen now"]
