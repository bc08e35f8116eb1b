"""Runs long reads in a thread of low priority, so that the event loop continues."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# A nice value; the kernel also lowers the priority of the thread's reads. Not the lowest: while the thread has the GIL
# and waits for a CPU, the event loop waits too.
NICENESS = 10


def run(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Run `work` in its own daemon thread: the process can exit without waiting for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_outcome: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing awaits the future any more
            loop.call_soon_threadsafe(lambda: None if future.done() else set_outcome())

    def body() -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            result = work()
        except BaseException as error:
            failed = error
            settle(lambda: future.set_exception(failed))
        else:
            settle(lambda: future.set_result(result))

    threading.Thread(target=body, name="background", daemon=True).start()
    return future
