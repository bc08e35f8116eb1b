"""The one thread that uses the connection.

A commit waits for the disk; the event loop, and with it the reader of the engine's stream, must not.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from agent.adapters.sqlite import database

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Calls methods of the tables in its thread, one after another, and wakes the outbox's sender."""

    def __init__(
        self, folder: Path | None, *, executor: Executor | None = None, before: Callable[[str], None] | None = None
    ) -> None:
        """`folder`: where the reserve is; None for a copy in memory.

        `executor`: the worker's own from here on, and it must run one call at a time. None: a new thread.
        `before`: called in the thread before each method, with its name; what it raises, the method seems to raise.
        """
        self.appended = asyncio.Event()
        self._folder = folder
        self._executor = executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._before = before

    async def run(self, method: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the tables. On a full disk, release the reserve and call it once more.

        Raises StateFull, StateDamaged, StateError, and what the method raises.
        """
        call = partial(method, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._call, method.__name__, call)

    async def append(self, method: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for a method that adds rows to the outbox or puts them back: its sender is woken then."""
        done = await self.run(method, *args, **kwargs)
        self.appended.set()
        return done

    async def close(self, method: Callable[[], None]) -> None:
        """Call a last method, and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._executor, method)
        self._executor.shutdown(wait=True)

    def _call(self, name: str, call: Callable[[], T]) -> T:
        try:
            return self._try(name, call)
        except database.StateFull:
            if self._folder is None or not database.release_reserve(self._folder):
                raise
        return self._try(name, call)

    def _try(self, name: str, call: Callable[[], T]) -> T:
        try:
            if self._before is not None:
                self._before(name)
            return call()
        except sqlite3.OperationalError as error:
            if database.is_full(error):
                raise database.StateFull(f"the disk under {self._folder} is full") from error
            raise database.StateError(f"the state in {self._folder} cannot be used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise database.StateDamaged(f"the state in {self._folder} is damaged: {error}") from error
