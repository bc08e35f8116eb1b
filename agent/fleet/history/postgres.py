"""The history in PostgreSQL: its engines."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from agent.fleet.history.errors import HistoryUnavailable

READERS = 4  # connections
CONNECT_TIMEOUT = 20.0  # seconds
MIGRATION_LOCK = 7_283_116_204  # of the advisory lock that lets one monitor migrate; any number that nobody else uses


def writer(url: str) -> AsyncEngine:
    return _engine(url, size=1, read_only=False)


def readers(url: str) -> AsyncEngine:
    return _engine(url, size=READERS, read_only=True)


def _engine(url: str, *, size: int, read_only: bool) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=_connector(url, read_only=read_only),
        pool_size=size,
        max_overflow=0,
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",  # all queries of a reader see one state
        pool_pre_ping=True,  # a connection that a restart of the server ended is replaced unnoticed
    )


def _connector(url: str, *, read_only: bool) -> Callable[[], Awaitable[Any]]:
    """The driver gets the URL as it is written: it knows libpq's options, such as sslmode and a password file."""
    settings = {"application_name": "torchkeeper", "default_transaction_read_only": "on" if read_only else "off"}

    async def connect() -> Any:
        try:
            return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, server_settings=settings)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise HistoryUnavailable(f"PostgreSQL: {error or type(error).__name__}") from error

    return connect
