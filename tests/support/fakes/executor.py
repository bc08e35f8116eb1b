"""An executor without threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class InlineExecutor(ThreadPoolExecutor):
    """Runs at once what others run in a thread, so that a fake clock can follow it."""

    def __init__(self) -> None:
        super().__init__(1)
        self.blocked: asyncio.Event | None = None  # set when a call comes; it and all others then wait without end

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.blocked is not None:
            self.blocked.set()
            return future
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future
