"""Detects stalls: a process that is frozen or starved of CPU time does not read Docker's event stream.

SIGSTOP, `docker pause`, the cgroup freezer, swapping, a blocked event loop: beyond about 1,190 unread events Docker
drops events silently and keeps the stream open. So after a stall, the events read are compared with those that Docker
remembers (`EventIngestor.audit`) before the time counts as watched.
"""

import asyncio
import time
from collections.abc import Callable

TICK = 1.0  # seconds between two readings of the clock
LATE = 0.5  # seconds; 1,190 events take 0.6 s at 1,900 a second, the highest rate measured
BURST = 800  # events in one batch: with so many waiting, Docker may have begun to drop some


class StallDetector:
    """Detects stalls with a clock that stops only while the machine, and so the engine, is suspended."""

    def __init__(self, tick: float = TICK, late: float = LATE, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`tick`, `late`: seconds. `monotonic`: the clock, in seconds."""
        self.noticed = asyncio.Event()  # there was a stall, and no audit since
        self._tick, self._late, self._monotonic = tick, late, monotonic
        self._ticked = monotonic()

    def restart(self) -> None:
        """Forget earlier stalls: a new stream was opened."""
        self.noticed.clear()
        self._ticked = self._monotonic()

    async def run(self) -> None:
        """Tick for ever. A late tick is a stall."""
        while True:
            await asyncio.sleep(self._tick)
            self.check()
            self._ticked = self._monotonic()

    def check(self) -> bool:
        """Whether there was a stall since the last audit, including one that ended just now."""
        if self._monotonic() - self._ticked > self._tick + self._late:
            self.noticed.set()
        return self.noticed.is_set()

    def note_taken_in(self, events: int) -> None:
        """Record the size of a batch of events. A large one counts as a stall."""
        if events >= BURST:
            self.noticed.set()

    def clear(self) -> None:
        """Forget the stall: an audit has found or recorded all that it may have lost."""
        self.noticed.clear()
