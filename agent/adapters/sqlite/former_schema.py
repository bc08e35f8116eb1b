"""A copy of the state file from before a migration, with which an older torchkeeper can be installed again."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from agent.adapters import folder as folders
from agent.adapters import sharing

_COPY = re.compile(r"\.schema-([0-9]+)")


def path_of(path: Path, schema: int) -> Path:
    """The copy of a state file of one schema: `state.db.schema-6`."""
    return path.with_name(f"{path.name}.schema-{schema}")


def keep(connection: sqlite3.Connection, path: Path, schema: int) -> None:
    """Copy the state as it is now; a copy of the same schema from an earlier migration is replaced.

    A SIGKILL leaves no copy or a complete one. Raises OSError and the errors of sqlite3; then there is no new copy.
    """
    partial = path.with_name(f"{path.name}.partial")
    _remove(partial)
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, sharing.PRIVATE_FILE))
        with closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy)
        _sync(partial)
        folders.give_to_owner(partial)
        sharing.share_file(partial)
        partial.replace(path_of(path, schema))
        _sync(path.parent)
    finally:
        _remove(partial)


def newest_copy(path: Path, known: int) -> Path | None:
    """The copy with the newest schema that a program knows; None if there is none."""
    found = ((_COPY.fullmatch(item.name.removeprefix(path.name)), item) for item in path.parent.iterdir())
    schemas = {int(match[1]): item for match, item in found if match and int(match[1]) <= known}
    return schemas[max(schemas)] if schemas else None


def _remove(partial: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):  # SQLite's own files beside one that was not finished
        partial.with_name(partial.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
