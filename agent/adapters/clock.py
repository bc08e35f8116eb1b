"""Time, read in one place: loops take a Clock, so that a test can be the clock."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

from agent.adapters.boot import boot_id
from agent.core.timekeeping import ClockReading


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump."""
        ...

    def reading(self) -> ClockReading:
        """The wall clock, and one that never jumps, read together."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def reading(self) -> ClockReading:
        # CLOCK_BOOTTIME goes on while the machine is suspended, as the wall clock does; CLOCK_MONOTONIC does not.
        awake, steady = time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME)
        return ClockReading(wall=self.now(), steady=steady, boot=boot_id(), awake=awake)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
