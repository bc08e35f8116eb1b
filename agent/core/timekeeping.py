"""Whether the wall clock can be trusted, compared with a clock that never jumps and with the engine's time.

A wall clock that jumps forward makes every image look idle. So after a jump in either direction, evictions wait until
the clock has been steady for a while, and idle time before the jump does not count. Slow corrections are not jumps (NTP
slews at most 0.5 ms per second). Time in which the machine was off or suspended for more than a day is not idle time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(seconds=10)  # between two checks, which are seconds apart
SETTLING = 300.0  # seconds of a steady clock before evictions continue
LONG_ABSENCE = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """The clocks, read at the same moment."""

    wall: datetime
    steady: float  # seconds since boot, including time in suspend; never jumps within one boot
    boot: str  # the kernel's ID of this boot; "" if it cannot be read
    awake: float | None = None  # seconds since boot without time in suspend; None if unknown

    @property
    def booted_at(self) -> datetime:
        """When the machine started, by the present wall clock."""
        return self.wall - timedelta(seconds=self.steady)


@dataclass(frozen=True, slots=True)
class MachineOff:
    """A time in which the machine was off or suspended."""

    since: datetime
    until: datetime


def clock_jump(before: ClockReading, after: ClockReading) -> timedelta | None:
    """How far the wall clock jumped between two readings; None if it did not, or that cannot be known.

    Across a reboot only a jump backwards can be detected: no other clock measures how long the machine was off.
    """
    if before.boot and before.boot == after.boot:
        moved = (after.wall - before.wall) - timedelta(seconds=after.steady - before.steady)
        return moved if abs(moved) > TOLERANCE else None
    back = after.wall - before.wall
    return back if back < -TOLERANCE else None


def machine_off(before: ClockReading, after: ClockReading) -> MachineOff | None:
    """The time in which the machine was off or suspended between two readings; None if that was at most a day.

    When a suspension happened between the readings is unknown. It is assumed to end at the second one: then any use in
    between lies before it, and the suspended time is never counted as idle.
    """
    if before.boot == after.boot:
        suspended = _suspended(before, after)
        return MachineOff(after.wall - suspended, after.wall) if suspended > LONG_ABSENCE else None
    if after.booted_at - before.wall <= LONG_ABSENCE:
        return None
    return MachineOff(before.wall, after.booted_at)


def _suspended(before: ClockReading, after: ClockReading) -> timedelta:
    """The time in suspend between two readings of one boot; 0 if it is unknown."""
    if before.awake is None or after.awake is None:
        return timedelta()
    return timedelta(seconds=(after.steady - before.steady) - (after.awake - before.awake))


def exclude_machine_off(absences: Iterable[MachineOff], since: datetime, now: datetime) -> datetime:
    """`since`, moved later by the time that the machine was off after it, which does not count as idle."""
    off = sum(
        (max(item.until - max(item.since, since), timedelta()) for item in absences if item.until <= now), timedelta()
    )
    return min(since + off, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMonitor:
    """The result of the checks so far. `steady_since`: seconds of the steady clock; None if it was never disturbed."""

    last: ClockReading
    steady_since: float | None = None

    def check(self, now: ClockReading, *, disturbed: bool = False) -> tuple["ClockMonitor", timedelta | None]:
        """Check the clock again. Returns the new state and the jump, if any.

        `disturbed`: there is another reason not to trust the clock.
        """
        moved = clock_jump(self.last, now)
        since = now.steady if moved is not None or disturbed else self.steady_since
        return ClockMonitor(last=now, steady_since=since), moved

    @property
    def trusted(self) -> bool:
        """Whether the clock has been steady for long enough to evict."""
        return self.steady_since is None or self.last.steady - self.steady_since >= SETTLING


def clocks_disagree(wall: datetime, engine: datetime | None) -> bool:
    """Whether the engine's time differs from ours by more than the tolerance. False if the engine reports none."""
    return engine is not None and abs(wall - engine) > TOLERANCE
