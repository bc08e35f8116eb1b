"""Stores of tests: one that has a host name from the start, and a disk that fails where a test wants it."""

import sqlite3
from pathlib import Path
from typing import Any

from agent.adapters.sqlite import database
from agent.adapters.sqlite.store import Store
from agent.adapters.state_errors import StateFull

FULL = StateFull("the disk is full")

Error = BaseException | type[BaseException]


class StoreFaults:
    """What the methods of a store's tables raise instead of their work. To be given to a store as `before`."""

    def __init__(self) -> None:
        self.calls: list[str] = []  # the methods that did their work
        self._errors: dict[str, Error] = {}
        self._once: set[str] = set()
        self._last: tuple[int, Error] | None = None

    def fail(self, method: str, error: Error = FULL) -> None:
        """From now on this method fails, as where the disk is full."""
        self._errors[method] = error

    def fail_once(self, method: str, error: Error = FULL) -> None:
        """The next call of this method fails."""
        self.fail(method, error)
        self._once.add(method)

    def fail_after(self, calls: int, error: Error) -> None:
        """So many methods do their work from the start on, and all after them fail."""
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
    """A store whose events bear a host name from the first one on. `how`: what else `Store` takes."""
    connection.execute(database.queries()["put_meta"], {"key": "host", "value": host})
    return Store(connection, folder, **how)
