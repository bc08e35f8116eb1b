"""Whether this process ran on time. One that was frozen or starved did not read the engine's stream meanwhile.

SIGSTOP, `docker pause`, the cgroup freezer, swapping, a blocked event loop: beyond about 1,190 unread events the engine
drops events without a mark and keeps the stream open. So after a stall, what was read is compared with what the engine
remembers (`EventIngestor.audit`) before the time counts as watched.
"""

import asyncio
import time
from collections.abc import Callable

TICK = 1.0  # seconds between two looks at the clock
LATE = 0.5  # seconds; at 1,900 events a second, the most that was measured, 1,190 of them take 0.6 s
BURST = 800  # events taken in at once: so many waited that the engine may have begun to drop some


class StallDetector:
    """Notices stalls by a clock that stands still only while the machine, and the engine with it, is suspended."""

    def __init__(self, tick: float = TICK, late: float = LATE, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`tick`, `late`: seconds. `monotonic`: the clock, in seconds."""
        self.noticed = asyncio.Event()  # there was a stall, and no audit since
        self._tick, self._late, self._monotonic = tick, late, monotonic
        self._ticked = monotonic()

    def restart(self) -> None:
        """A stream was opened: only a stall from here on matters."""
        self.noticed.clear()
        self._ticked = self._monotonic()

    async def run(self) -> None:
        """Tick for ever. A tick that comes late is a stall."""
        while True:
            await asyncio.sleep(self._tick)
            self.check()
            self._ticked = self._monotonic()

    def check(self) -> bool:
        """Whether there was a stall since the last audit, one that is only now over included."""
        if self._monotonic() - self._ticked > self._tick + self._late:
            self.noticed.set()
        return self.noticed.is_set()

    def note_taken_in(self, events: int) -> None:
        """So many events were waiting to be taken in."""
        if events >= BURST:
            self.noticed.set()

    def clear(self) -> None:
        """An audit has compared what was read with what the engine remembers."""
        self.noticed.clear()
