"""Detects, records and publishes gaps in event coverage, clock jumps, and times when the machine was off.

Each of them only makes the set of evictions smaller.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import structlog

from agent.adapters.clock import Clock
from agent.adapters.engine import EngineInfo, RingSnapshot
from agent.core import timekeeping, units
from agent.core.protocol import new_events
from agent.core.timekeeping import ClockMonitor, ClockReading, MachineOff
from agent.core.usage import continuity
from agent.core.usage.continuity import BlindPeriod, Boot, Cursor, EngineDowntime
from agent.tracking.engine_view import EngineView

log = structlog.get_logger()


class GapDetector:
    """Updates the EngineView's gap end, absences and trust in the clock."""

    def __init__(
        self,
        view: EngineView,
        clock: Clock,
        tolerance: timedelta,
        last_boot: Callable[[ClockReading], Boot],
    ) -> None:
        """`last_boot`: the machine's boot as of a reading, and the shutdown before it where one was recorded."""
        self._view = view
        self._clock = clock
        self._last_boot = last_boot
        self.tolerance = tolerance  # a gap that is not longer is not recorded
        self._began = clock.reading()  # the start of this process; `check_clock` detects later jumps
        self._watch = ClockMonitor(last=self._began)
        self._recorded: BlindPeriod | None = None  # the gap that the last `prove` recorded

    async def restore(self, cursor: Cursor, info: EngineInfo) -> Cursor:
        """At a connection: compare the clocks with those of the last watch, and the engine's time with ours.

        Returns the cursor to resume from. If the clock was set back, a cursor in the future is moved to now.
        """
        cursor = continuity.from_previous_process(cursor)
        before, now = cursor.reading, self._clock.reading()
        await self.check_clock(disturbed=timekeeping.clocks_disagree(now.wall, info.time))
        if before is None:
            return cursor
        await self._record_absence(timekeeping.machine_off(before, self._began if before.boot == now.boot else now))
        moved = timekeeping.clock_jump(before, now)
        if moved is None:
            return cursor
        await self._record_jump(moved, now)
        self._distrust_clock(now)
        return await self._rewound(cursor, now) if moved < timedelta() else cursor

    async def check_clock(self, *, disturbed: bool = False) -> timedelta | None:
        """Compare the clocks with their last readings. Record a jump as a gap, and return it."""
        before, now = self._watch, self._clock.reading()
        self._watch, moved = before.check(now, disturbed=disturbed)
        try:
            await self._record_absence(timekeeping.machine_off(before.last, now))
            if moved is not None:
                await self._record_jump(moved, now)
        except BaseException:
            self._watch = before  # the next check then finds what could not be recorded
            raise
        if self._view.clock_trusted != self._watch.trusted:
            self._view.clock_trusted = self._watch.trusted
            self._view.changed.set()
            log.warning("system clock trust changed", action="clock", trusted=self._watch.trusted)
        return moved

    async def prove(
        self, cursor: Cursor, ring: RingSnapshot, now: ClockReading, down: EngineDowntime | None = None
    ) -> bool:
        """Check whether events since the last watch may have been lost. If so, record a gap.

        Returns False if events may have been lost for longer than the tolerance.
        """
        read = continuity.make_ring(ring.events, ring.size, ring.oldest_ns, now.wall)
        machine = self._last_boot(now) if now.boot else None
        blind = continuity.blind_time(continuity.after_downtime(cursor, read, down, self.tolerance), read, machine)
        if blind is None or blind.length <= self.tolerance:
            return True
        if blind != self._recorded:  # after a failed connection, the next one finds the same gap
            await self.record(blind)
            self._recorded = blind
        return False

    async def record(self, blind: BlindPeriod) -> None:
        """Record a gap: no image counts as idle since before its end."""
        event = new_events.gap(blind, self._clock.now())
        await self._view.engine_store.record_gap(blind, event)
        self._view.gap_end = max(self._view.gap_end or blind.until, blind.until)
        log.warning("gap in event coverage", action="gap", cause=blind.cause, seconds=blind.length.total_seconds())

    async def rewind(self, cursor: Cursor) -> Cursor:
        """The cursor after the clock was set back, moved to now if it lies in the future."""
        return await self._rewound(cursor, self._clock.reading())

    async def _rewound(self, cursor: Cursor, now: ClockReading) -> Cursor:
        time_ns = min(cursor.time_ns, continuity.nanoseconds(now.wall))
        moved = replace(cursor, time_ns=time_ns, key=None, alive_at=now.wall, steady=now.steady, boot=now.boot)
        moved = replace(moved, awake=now.awake)
        await self._view.engine_store.rewind(moved)
        return moved

    async def _record_jump(self, moved: timedelta, now: ClockReading) -> None:
        way = "forward" if moved > timedelta() else "back"
        cause = f"{continuity.CLOCK_JUMPED} {way} by {units.format_duration(abs(moved))}"
        await self.record(BlindPeriod(now.wall - abs(moved), now.wall, cause))

    def _distrust_clock(self, now: ClockReading) -> None:
        self._watch = ClockMonitor(last=now, steady_since=now.steady)
        self._view.clock_trusted = False

    async def _record_absence(self, off: MachineOff | None) -> None:
        if off is None:
            return
        await self._view.engine_store.record_machine_off(off)
        self._view.absences = (*self._view.absences, off)
        log.info("the machine was off or suspended", action="absence", seconds=(off.until - off.since).total_seconds())
