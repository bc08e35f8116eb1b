"""The only thread that uses the connection.

A commit waits for the disk. The event loop must not wait with it, as it reads the engine's stream.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from agent.adapters import reserve
from agent.adapters.sqlite import database
from agent.adapters.state_errors import StateDamaged, StateError, StateFull

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """Calls methods of the tables in its thread, one after the other, and wakes the sender of the outbox."""

    def __init__(
        self, folder: Path | None, *, executor: Executor | None = None, before: Callable[[str], None] | None = None
    ) -> None:
        """`folder`: the folder with the reserve; None for a copy in memory.

        `executor`: used only by this worker from now on; it must run one call at a time. None: a new thread.
        `before`: called in the thread before each method with its name; an exception of it counts as the method's.
        """
        self.appended = asyncio.Event()
        self._folder = folder
        self._executor = executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._before = before

    async def run(self, method: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the tables. On a full disk, release the reserve and call it once more.

        Raises StateFull, StateDamaged, StateError, and any other exception of the method.
        """
        call = partial(method, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._call, method.__name__, call)

    async def append(self, method: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Like `run`, for a method that may add rows to the outbox or put them back: then wake its sender."""
        result = await self.run(method, *args, **kwargs)
        self.appended.set()
        return result

    async def close(self, method: Callable[[], None]) -> None:
        """Call a last method, and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._executor, method)
        self._executor.shutdown(wait=True)

    def _call(self, name: str, call: Callable[[], T]) -> T:
        try:
            return self._try(name, call)
        except StateFull:
            if self._folder is None or not reserve.release(self._folder):
                raise
        return self._try(name, call)

    def _try(self, name: str, call: Callable[[], T]) -> T:
        try:
            if self._before is not None:
                self._before(name)
            return call()
        except sqlite3.OperationalError as error:
            if database.is_full(error):
                raise StateFull(f"the disk under {self._folder} is full") from error
            raise StateError(f"the state in {self._folder} cannot be used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StateDamaged(f"the state in {self._folder} is damaged: {error}") from error
