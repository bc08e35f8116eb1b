"""Stores for tests: one with a host name from the start, and faults that a test sets."""

import sqlite3
from pathlib import Path
from typing import Any

from agent.adapters.sqlite import database
from agent.adapters.sqlite.store import Store
from agent.adapters.state_errors import StateFull

FULL = StateFull("the disk is full")

Error = BaseException | type[BaseException]


class StoreFaults:
    """Makes methods of a store's tables raise errors. Pass it to a store as `before`."""

    def __init__(self) -> None:
        self.calls: list[str] = []  # the methods that ran
        self._errors: dict[str, Error] = {}
        self._once: set[str] = set()
        self._last: tuple[int, Error] | None = None

    def fail(self, method: str, error: Error = FULL) -> None:
        """Make this method fail from now on, by default as on a full disk."""
        self._errors[method] = error

    def fail_once(self, method: str, error: Error = FULL) -> None:
        """Make the next call of this method fail."""
        self.fail(method, error)
        self._once.add(method)

    def fail_after(self, calls: int, error: Error) -> None:
        """Let the first `calls` calls of any methods run, and all later ones fail."""
        self._last = calls, error

    def clear(self) -> None:
        self._errors.clear()
        self._once.clear()
        self._last = None

    def __call__(self, method: str) -> None:
        if self._last is not None and len(self.calls) >= self._last[0]:
            raise self._last[1]
        if method in self._once:
            self._once.remove(method)
            raise self._errors.pop(method)
        if method in self._errors:
            raise self._errors[method]
        self.calls.append(method)


def named_store(connection: sqlite3.Connection, folder: Path, host: str, **how: Any) -> Store:
    """A store with this host name in its events from the first one on. `how`: other arguments of `Store`."""
    connection.execute(database.queries()["put_meta"], {"key": "host", "value": host})
    return Store(connection, folder, **how)
