"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import time
from datetime import datetime, timedelta

from agent.core.timekeeping import ClockReading
from tests.support.times import START

Span = float | timedelta  # seconds, or as it is
_MANY = 100_000  # turns of the event loop, after which a task is taken to spin


class FakeClock:
    """`agent.adapters.clock.Clock`, moved by `advance`. Sleepers wake in the order of their ends.

    Between two wake-ups every task runs until all of them wait. What waits for a thread, a socket or a
    process is not followed: wait for its effect as well, where a test has such a part.
    """

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._suspended = 0.0
        self.boot = "boot-1"
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = 0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def reading(self) -> ClockReading:
        steady = self._monotonic + self._suspended
        return ClockReading(wall=self._now, steady=steady, boot=self.boot, awake=self._monotonic)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waking = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (self._monotonic + seconds, self._order, waking))
        await waking

    async def advance(self, span: Span = 0.0) -> None:
        """Let this much time pass, one sleeper after the other; 0 only lets the tasks run."""
        end = self._monotonic + _seconds(span)
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end + 1e-6:  # sums of seconds are rounded
            at, _, waking = heapq.heappop(self._sleepers)
            if waking.done():  # its task was cancelled
                continue
            self._move(at)
            waking.set_result(None)
            await _settle()
        self._move(end)
        await _settle()

    def jump(self, span: Span) -> None:
        """The wall clock is set; no time passes, and nobody wakes."""
        self._now += timedelta(seconds=_seconds(span))

    def freeze(self, span: Span) -> None:
        """Time passes, and this process does not run: those who sleep wake late."""
        self._move(self._monotonic + _seconds(span))

    def suspend(self, span: Span) -> None:
        """The machine is suspended: the wall clock and the time since boot go on, and no timer runs."""
        self._now += timedelta(seconds=_seconds(span))
        self._suspended += _seconds(span)

    def reboot(self) -> None:
        """The machine starts again: another boot, a monotonic clock that begins anew."""
        self.boot += "+"
        self._monotonic = 1.0

    def _move(self, monotonic: float) -> None:
        self._now += timedelta(seconds=monotonic - self._monotonic)
        self._monotonic = monotonic


def _seconds(span: Span) -> float:
    return span.total_seconds() if isinstance(span, timedelta) else span


class QuickClock(FakeClock):
    """Many times as fast as the machine's, so that what is sent again comes soon. The wall clock stands still."""

    def __init__(self, speed: float = 30) -> None:
        super().__init__()
        self._speed = speed

    def monotonic(self) -> float:
        return self._speed * time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


async def _settle() -> None:
    """Run the other tasks until each of them waits for something."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # asyncio tells no other way
    for _ in range(_MANY):
        await asyncio.sleep(0)
        if not ready:
            return
    raise AssertionError("a task never waits")
