"""The state file: opens and migrates it, and moves a damaged one aside.

SQLite with WAL and `synchronous=FULL`: a committed transaction survives a SIGKILL and a power failure.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import cache
from importlib import resources
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from agent.adapters import folder as folders
from agent.adapters import reserve, sharing
from agent.adapters.sqlite import former_schema
from agent.adapters.state_errors import StateDamaged, StateError, StateFull, StateTooNew

if TYPE_CHECKING:
    import structlog

FILE = "state.db"
FILES = (FILE, f"{FILE}-wal", f"{FILE}-shm", reserve.FILE)
BUSY_TIMEOUT = 10.0  # seconds to wait for another process that reads
# No permission, or no space, for the index of the WAL.
_NO_INDEX = ("SQLITE_CANTOPEN", "SQLITE_READONLY_DIRECTORY", "SQLITE_IOERR_SHMSIZE")


@cache
def queries() -> dict[str, str]:
    """The named queries of queries.sql."""
    text = _sql("queries.sql")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """The numbered migrations, in order."""
    names = sorted(item.name for item in _folder().iterdir() if re.match(r"\d{4}_", item.name))
    return tuple((int(name[:4]), _sql(name)) for name in names)


def _folder() -> resources.abc.Traversable:
    return resources.files("agent.adapters.sqlite") / "sql"


def _sql(name: str) -> str:
    return (_folder() / name).read_text(encoding="utf-8")


def open_file(folder: Path, now: datetime) -> tuple[sqlite3.Connection, str]:
    """Open and migrate the state file. Returns the connection, and a message if a damaged file was replaced, else "".

    A damaged file is moved aside, never deleted; in the new one every image counts as first seen now.
    Raises StateTooNew, StateFull, StateError.
    """
    path = folder / FILE
    try:
        return _open_sound(path), ""
    except StateDamaged as error:
        aside = _move_aside(path, now)
        return _open_sound(path), f"{error}; it was moved to {aside.name}, and every image counts as first seen now"


def open_copy(folder: Path) -> sqlite3.Connection:
    """A copy of the state in memory, for commands that only read; empty if there is no state yet.

    Raises StateError if the file exists but cannot be read, StateDamaged if it is not intact.
    """
    copy = _connect(":memory:")
    path = folder / FILE
    if exists(path):
        if not os.access(path, os.R_OK, effective_ids=True):
            raise StateError(f"{path}: Permission denied for uid {os.geteuid()}; {sharing.way_in(path)}")
        with reading_errors(path):
            try:
                _copy(path, "mode=ro", copy)
            except sqlite3.OperationalError as error:
                if not _lacks_only_an_index(error, path):
                    raise
                _copy(path, "immutable=1", copy)
            _check(copy, path)
    _migrate(copy, path)
    return copy


def _copy(path: Path, how: str, copy: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=BUSY_TIMEOUT)) as source:
        source.backup(copy)


def _lacks_only_an_index(error: sqlite3.Error, path: Path) -> bool:
    """Whether a copy failed only as SQLite could not create the WAL's index (full or read-only disk), with no WAL."""
    log = path.with_name(f"{path.name}-wal")
    return getattr(error, "sqlite_errorname", "") in _NO_INDEX and not (exists(log) and log.stat().st_size)


def exists(path: Path) -> bool:
    """Whether a file of the state exists. Raises StateError if this user may not see it."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}; {sharing.way_in(path)}") from None
    return True


def _open_sound(path: Path) -> sqlite3.Connection:
    _make_private(path)
    with reading_errors(path):
        connection = _connect(str(path))
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            _check(connection, path)
            _migrate_file(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _make_private(path: Path) -> None:
    """Create the file, if it does not exist, with a mode of its own: SQLite would let everybody read it.

    SQLite gives its other files the mode of this one. An error is left for SQLite to report.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, sharing.PRIVATE_FILE))


def _connect(path: str) -> sqlite3.Connection:
    # `worker.Worker` uses it in one thread at a time, which is not the one that creates it.
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if answer != "ok":
        raise StateDamaged(f"{path} is damaged ({answer})")


def _migrate_file(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate the state file; before the first migration, keep a copy for a way back."""
    version, newest = _version(connection), migrations()[-1][0]
    kept = 0 < version < newest and _keep_copy(connection, path, version)
    _migrate(connection, path)
    if kept:
        copy = former_schema.path_of(path, version).name
        _log().info(
            f"migrated the state; to go back to the version before: stop the agent, remove {FILE}-wal and {FILE}-shm, "
            f"rename {copy} to {FILE}, and start that version; what happened in between is a gap for it",
            action="migrate",
            schema=newest,
            before=version,
        )


def _keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> bool:
    """Whether there is a copy now. On a full disk there is none: freeing the disk is more urgent than a way back."""
    try:
        former_schema.keep(connection, path, version)
    except (OSError, sqlite3.OperationalError) as error:
        if not is_full(error):
            why = error.strerror if isinstance(error, OSError) else error
            raise StateError(f"{path} cannot be copied before its migration: {why}; nothing was changed") from error
        _log().warning("the disk is full: the state is migrated without keeping a copy of it", action="migrate")
        return False
    return True


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _too_new(path: Path, version: int, newest: int) -> StateTooNew:
    copy = former_schema.newest_copy(path, newest)
    way_back = f", or rename {copy.name} to {FILE}, which is the state from before the upgrade" if copy else ""
    return StateTooNew(
        f"{path} was written by a newer torchkeeper (schema {version}, this one knows {newest}); "
        f"install that version again{way_back}"
    )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version, newest = _version(connection), migrations()[-1][0]
    if version > newest:
        raise _too_new(path, version, newest)
    for number, script in migrations():
        if number > version:
            # one transaction, so that a SIGKILL leaves the version before
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as StateFull, StateDamaged and StateError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if is_full(error):
            raise StateFull(f"{path}: the disk is full; free some room on it") from error
        if "malformed" in str(error) or "not a database" in str(error):
            raise StateDamaged(f"{path} is damaged ({error})") from error
        raise StateError(f"{path}: {error}; check its permissions and its disk") from error
    except sqlite3.DatabaseError as error:
        raise StateDamaged(f"{path} is damaged ({error})") from error


def is_full(error: Exception) -> bool:
    """Whether the disk is full, even if only the WAL's index did not fit, which SQLite reports as an I/O error."""
    if isinstance(error, OSError):
        return error.errno in folders.FULL
    return "disk is full" in str(error) or getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE"


def _move_aside(path: Path, now: datetime) -> Path:
    names = (f"{path.name}.damaged-{now:%Y%m%dT%H%M%S}{suffix}" for suffix in chain([""], map("-{}".format, count(2))))
    aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _log() -> "structlog.typing.FilteringBoundLogger":
    """The logger. Only a migration logs here, and the library takes longer to load than `--help` may take."""
    import structlog

    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
