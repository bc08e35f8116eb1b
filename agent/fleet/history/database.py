"""Opens the history's database, migrates it, and lends its connections: one to write, some to read."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agent.fleet.history import sqlite
from agent.fleet.history.batches import AsyncBatches, Batches, ThreadBatches, Work
from agent.fleet.history.errors import HistoryError, HistoryTooNew, HistoryUnavailable
from agent.fleet.history.migrations import HEAD, REVISIONS
from agent.fleet.history.writer import HistoryWriter

P = ParamSpec("P")
T = TypeVar("T")

_URLS = "write sqlite:////var/lib/torchkeeper/fleet.db, or postgresql://user@server/database"
# Classes of PostgreSQL's errors: connections, deadlocks, a full disk, locks, an administrator's stop, the system
_PASSING = ("08", "40", "53", "55", "57", "58")


class Database:
    """The open database. `writer` writes the history; `reader` lends a connection that cannot change anything."""

    def __init__(self, writing: AsyncEngine, reading: AsyncEngine, batches: Batches) -> None:
        self._writing = writing
        self._reading = reading
        self._batches = batches
        self._turn = asyncio.Lock()  # SQLite has one writer at a time, and two connections that may be it
        self.writer = HistoryWriter(self.write)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[AsyncConnection]:
        """A connection for one request; all its queries see the same state. Raises HistoryUnavailable."""
        with _unavailable():
            async with self._reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """The connection that writes. It commits at the end of the block. Raises HistoryUnavailable."""
        with _unavailable():
            async with self._turn, self._writing.begin() as connection:
                yield connection

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a function that writes, in one transaction. Raises HistoryUnavailable."""
        with _unavailable():
            async with self._turn:
                return await self._batches.run(work, *args, **kwargs)

    async def vacuum(self, pages: int) -> bool:
        """Give so many free pages of an SQLite file back to the file system. Returns whether there are more.

        PostgreSQL does that by itself. Raises HistoryUnavailable.
        """
        if self._writing.dialect.name != "sqlite":
            return False
        with _unavailable():
            async with self._turn, self._writing.connect() as connection:
                raw: Any = (await connection.get_raw_connection()).driver_connection
                # Each step of this statement frees one page, and `execute` takes a single step.
                await raw.executescript(f"PRAGMA incremental_vacuum({pages})")
                return bool((await connection.exec_driver_sql("PRAGMA freelist_count")).scalar())

    async def close(self) -> None:
        await self._batches.close()
        await self._reading.dispose()
        await self._writing.dispose()


async def open_database(url: str) -> Database:
    """Open the database, created and migrated as far as it needs. Raises HistoryError."""
    database = _engines(url)
    try:
        with _unusable():
            await database.write(_migrate)
    except BaseException:
        await database.close()
        raise
    return database


def _engines(url: str) -> Database:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise HistoryError(f"monitor.database: this is not a URL; {_URLS}") from None
    if parsed.drivername == "sqlite":
        sqlite.prepare(parsed)
        return Database(sqlite.writer(parsed), sqlite.readers(parsed), ThreadBatches(sqlite.batch_writer(parsed)))
    if parsed.drivername in ("postgresql", "postgres"):
        return _postgres(url)
    raise HistoryError(f"monitor.database: {parsed.drivername} is no database that the monitor knows; {_URLS}")


def _postgres(url: str) -> Database:
    try:
        from agent.fleet.history import postgres  # its driver is an extra of its own
    except ModuleNotFoundError:
        raise HistoryError("monitor.database: PostgreSQL needs: pip install 'torchkeeper[monitor,postgres]'") from None
    writing = postgres.writer(url)
    return Database(writing, postgres.readers(url), AsyncBatches(writing))


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        from agent.fleet.history import postgres

        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": postgres.MIGRATION_LOCK})
    version = _version(connection)
    if version == HEAD:
        return
    if version is not None and version not in REVISIONS:
        raise HistoryTooNew(
            f"monitor.database: it was written by a newer torchkeeper (tables {version}, this one knows {HEAD});"
            " nothing was changed. Install that version, or set another database"
        )
    from agent.fleet.history.migrations import migrate  # Alembic takes 13 MB, and only a migration needs it

    migrate.upgrade(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


@contextmanager
def _unavailable() -> Iterator[None]:
    """Errors that end by themselves, or when somebody repairs the server or the disk, as HistoryUnavailable."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise HistoryUnavailable(_reason(error)) from error
    except DBAPIError as error:
        if not error.connection_invalidated and str(getattr(error.orig, "sqlstate", ""))[:2] not in _PASSING:
            raise
        raise HistoryUnavailable(_reason(error)) from error


@contextmanager
def _unusable() -> Iterator[None]:
    """When the database is opened, what is wrong with it is a matter of the configuration."""
    try:
        yield
    except (HistoryUnavailable, DBAPIError) as error:
        reason = str(error) if isinstance(error, HistoryUnavailable) else _reason(error)
        raise HistoryError(
            f"monitor.database: {reason}; check that it is a database of the monitor, and reachable"
        ) from error


def _reason(error: BaseException) -> str:
    """One line, without the statement and its values, which may be long."""
    original = getattr(error, "orig", None) or error
    return str(original).strip().splitlines()[0] if str(original).strip() else type(original).__name__
