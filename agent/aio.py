"""Helpers for asyncio tasks that also work in the first releases of Python 3.11.

Those releases have a bug in TaskGroup: when one of its tasks fails while the `async with` block is waiting, the
surrounding task keeps a pending cancellation. A later time-out in that task then raises CancelledError instead of
TimeoutError, and the code that awaits the task ends silently.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def isolated(work: Coroutine[Any, Any, T], name: str | None = None) -> T:
    """Await a coroutine in its own task, so that a cancellation left over by a TaskGroup ends with that task."""
    return await asyncio.create_task(work, name=name)


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine to its end. A cancellation that comes meanwhile is raised afterwards."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log that it never was
        raise


async def first(*works: Coroutine[Any, Any, object]) -> None:
    """Wait until one of the coroutines ends, and raise its exception if any. The others are cancelled and awaited."""
    running = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def run_forever(work: Coroutine[Any, Any, None], name: str) -> None:
    """Run a loop that must never end. Raises RuntimeError if it returns, or ends as cancelled without a request."""
    here = asyncio.current_task()
    try:
        await isolated(work, name)
    except asyncio.CancelledError:
        if here is not None and here.cancelling():
            raise
        raise RuntimeError(f"{name} was cancelled, but nothing requested it") from None
    raise RuntimeError(f"{name} has ended")
