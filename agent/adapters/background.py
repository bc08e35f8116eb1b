"""Long reading beside the event loop, at a low priority."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# As `nice` counts; the kernel lowers the priority of the thread's reads with it. Not the lowest: a thread that waits
# for a processor while it holds Python's lock makes the event loop wait, too.
NICENESS = 10


def run(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Do it in a thread of its own, which ends with the process: nobody waits for it when the agent stops."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody asks any more
            loop.call_soon_threadsafe(lambda: None if future.done() else give())

    def body() -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            done = work()
        except BaseException as error:
            failed = error
            settle(lambda: future.set_exception(failed))
        else:
            settle(lambda: future.set_result(done))

    threading.Thread(target=body, name="background", daemon=True).start()
    return future
