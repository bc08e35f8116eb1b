"""One open state file, with named queries, transactions, and a table of single values."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent.adapters.sqlite import database


class Queries:
    """Runs the queries of queries.sql by their names. Raises the errors of sqlite3."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Called to drop values in memory that the transaction may have changed.
        self.after_rollback: list[Callable[[], None]] = []

    def do(self, name: str, /, **values: object) -> None:
        self._connection.execute(database.queries()[name], values)

    def one(self, name: str, /, **values: object) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._connection.execute(database.queries()[name], values).fetchone()
        return row

    def all(self, name: str, /, **values: object) -> list[sqlite3.Row]:
        return self._connection.execute(database.queries()[name], values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything in the block, or nothing if it raises or the process is killed."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            for forget in self.after_rollback:
                forget()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def load_value(self, key: str) -> str | None:
        row = self.one("get_meta", key=key)
        return str(row["value"]) if row is not None else None

    def save_value(self, key: str, value: str) -> str:
        """Store a value under a key. Returns the value."""
        self.do("put_meta", key=key, value=value)
        return value

    def close(self) -> None:
        self._connection.close()
