"""Groups that fail leave nothing behind, and a loop that ends is news."""

import asyncio

import pytest

from agent import aio


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError


async def a_group_that_fails() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


async def test_a_time_out_after_a_group_that_failed_is_a_time_out() -> None:
    here = asyncio.current_task()
    assert here is not None
    with pytest.raises(ExceptionGroup):
        await aio.isolated(a_group_that_fails())
    assert here.cancelling() == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_what_is_cancelled_from_outside_cancels_what_runs_alone() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    outer = asyncio.create_task(aio.isolated(work()))
    await asyncio.sleep(0.01)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert ended.is_set()


async def nothing() -> None:
    """It ends at once."""


async def cancelled_by_nobody() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("work", "message"),
    [(nothing, "the loop has ended"), (cancelled_by_nobody, "the loop was cancelled, but nothing requested it")],
)
async def test_a_loop_that_ends_by_itself_is_an_error(work, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RuntimeError, match=message):
        await aio.run_forever(work(), "the loop")


async def test_a_loop_that_is_told_to_end_just_ends() -> None:
    outer = asyncio.create_task(aio.run_forever(asyncio.Event().wait(), "the loop"))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
