"""Tasks that end cleanly, in the early releases of Python 3.11, too.

There a TaskGroup whose task fails while its block only waits leaves the task around it with a cancellation that nobody
asked for, and a time-out in that task then escapes as a cancellation: whoever waits for it ends without a word.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def isolated(work: Coroutine[Any, Any, T], name: str | None = None) -> T:
    """Run something in a task of its own: what a TaskGroup leaves behind ends with it."""
    return await asyncio.create_task(work, name=name)


async def first(*works: Coroutine[Any, Any, object]) -> None:
    """Wait until one of these is done, and raise its exception if it has one. The others are cancelled and awaited."""
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
    """Run a loop that must not end by itself. RuntimeError where it does, or was cancelled by nobody."""
    here = asyncio.current_task()
    try:
        await isolated(work, name)
    except asyncio.CancelledError:
        if here is not None and here.cancelling():
            raise
        raise RuntimeError(f"{name} was cancelled by nobody") from None
    raise RuntimeError(f"{name} has ended")
