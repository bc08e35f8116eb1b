"""The fake clock that other tests use."""

import asyncio
from datetime import timedelta

import pytest

from tests.support.fakes.clock import START, FakeClock


async def _note(clock: FakeClock, name: str, seconds: float, log: list[tuple[str, float]]) -> None:
    await clock.sleep(seconds)
    log.append((name, clock.monotonic() - 1000.0))


async def test_sleepers_wake_in_the_order_of_their_ends_and_at_their_times() -> None:
    clock, log = FakeClock(), list[tuple[str, float]]()
    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 5), ("early", 1), ("also late", 5), ("now", 0)):
            group.create_task(_note(clock, name, seconds, log))
        await clock.advance(10)
    assert log == [("now", 0), ("early", 1), ("late", 5), ("also late", 5)]


async def test_a_loop_that_sleeps_again_and_again_is_followed() -> None:
    clock, log = FakeClock(), list[float]()

    async def tick() -> None:
        while True:
            await clock.sleep(60)
            log.append(clock.monotonic() - 1000.0)

    ticking = asyncio.create_task(tick())
    await clock.advance(200)
    ticking.cancel()
    assert log == [60, 120, 180]
    assert clock.now() == START + timedelta(seconds=200)


async def test_a_sleeper_does_not_wake_early() -> None:
    clock, log = FakeClock(), list[tuple[str, float]]()
    sleeping = asyncio.create_task(_note(clock, "a", 10, log))
    await clock.advance(9.9)
    assert log == []
    await clock.advance(0.1)
    assert log == [("a", 10)]
    await sleeping


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    sleeping = asyncio.create_task(clock.sleep(5))
    await clock.advance(1)
    sleeping.cancel()
    await clock.advance(10)
    assert sleeping.cancelled()


async def test_work_in_many_steps_is_done_before_time_moves_on() -> None:
    clock, seen = FakeClock(), list[float]()

    async def work() -> None:
        await clock.sleep(1)
        for _ in range(50):
            await asyncio.sleep(0)
        seen.append(clock.monotonic() - 1000.0)

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(clock.sleep(2))
        await clock.advance(2)
    assert seen == [1]


async def test_a_jump_moves_the_wall_clock_and_wakes_nobody() -> None:
    clock = FakeClock()
    sleeping = asyncio.create_task(clock.sleep(5))
    await clock.advance(0)
    clock.jump(-3600)
    await clock.advance(1)
    assert (clock.now(), clock.monotonic()) == (START - timedelta(seconds=3599), 1001.0)
    assert not sleeping.done()
    await clock.advance(4)
    assert sleeping.done()


async def test_a_task_that_never_waits_is_an_error_and_not_a_hang() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 - the fault that is tested
            await asyncio.sleep(0)

    spinning = asyncio.create_task(spin())
    with pytest.raises(AssertionError, match="never waits"):
        await FakeClock().advance(1)
    spinning.cancel()
