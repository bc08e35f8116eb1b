"""The history in an SQLite file: its engines, and what can be wrong with its path."""

import os
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from agent.fleet.history.errors import HistoryError

READERS = 4  # connections
BUSY_TIMEOUT = 10.0  # seconds to wait for another process, such as a backup
LARGEST_LOG = 64 * 1024 * 1024  # bytes that the write-ahead log keeps on disk after a checkpoint
WAIT_FOR_WRITER = 300  # seconds; a slice of deletions is short, an incremental vacuum of a large file is not

# `auto_vacuum` has an effect only before the first page is written, so it comes before WAL.
_WRITER = (
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    f"PRAGMA journal_size_limit = {LARGEST_LOG}",
)
_READER = ("PRAGMA query_only = ON",)
# Locked from its begin: a transaction that first reads would fail if another process wrote before it does.
LOCKED = "BEGIN IMMEDIATE"


def prepare(url: URL) -> Path:
    """Create the file, readable by its owner only, if it does not exist. Returns its path. Raises HistoryError."""
    path = Path(url.database or "")
    if not path.is_absolute():
        raise HistoryError(
            f"monitor.database: {url} has no absolute path; write sqlite:////var/lib/torchkeeper/fleet.db"
        )
    if not path.parent.is_dir():
        raise HistoryError(f"monitor.database: the folder {path.parent} does not exist; create it, or set another path")
    try:
        # SQLite gives the log and its index the mode of this file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        hint = "set the path of a file in it" if path.is_dir() else f"run this as the owner of {path.parent}"
        raise HistoryError(f"monitor.database: {path}: {error.strerror}; {hint}, or set another path") from None
    return path


def writer(url: URL) -> AsyncEngine:
    """One connection, as SQLite has one writer at a time."""
    engine = _engine(url, size=1)
    _set_up(engine.sync_engine, _WRITER, LOCKED)
    return engine


def batch_writer(url: URL) -> Engine:
    """One connection without asyncio, for the thread that writes batches; see `Batches`."""
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"), pool_size=1, max_overflow=0, connect_args={"timeout": BUSY_TIMEOUT}
    )
    _set_up(engine, _WRITER, LOCKED)
    return engine


def readers(url: URL) -> AsyncEngine:
    engine = _engine(url, size=READERS)
    _set_up(engine.sync_engine, _READER, "BEGIN")
    return engine


def _engine(url: URL, size: int) -> AsyncEngine:
    return create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        pool_size=size,
        max_overflow=0,
        pool_timeout=WAIT_FOR_WRITER,
        connect_args={"timeout": BUSY_TIMEOUT},
    )


def _set_up(engine: Engine, pragmas: tuple[str, ...], begin: str) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins no transaction of its own
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: object) -> None:
        connection.exec_driver_sql(begin)  # type: ignore[attr-defined]
