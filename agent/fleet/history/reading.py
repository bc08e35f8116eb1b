"""Runs a query on a connection that only reads, so that the routes need not know SQLAlchemy."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


class Readable(Protocol):
    def reader(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for one request. Raises HistoryUnavailable, also while it is used."""
        ...


async def read(database: Readable, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """The result of a query. Raises HistoryUnavailable."""
    async with database.reader() as connection:
        return await query(connection)
