"""The clock, read only here: loops take a Clock, so that a test can provide the time."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

from agent.adapters.boot import boot_id
from agent.core.timekeeping import ClockReading


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall time as an aware datetime in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        ...

    def reading(self) -> ClockReading:
        """The wall clock and the monotonic ones, read at the same moment."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def reading(self) -> ClockReading:
        # CLOCK_BOOTTIME counts time in suspend, as the wall clock does; CLOCK_MONOTONIC does not.
        awake, steady = time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME)
        return ClockReading(wall=self.now(), steady=steady, boot=boot_id(), awake=awake)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
