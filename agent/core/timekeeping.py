"""Whether the wall clock can be trusted: held against a clock that never jumps, and against the engine's own time.

A wall clock that jumps forward makes everything look idle. So a jump, in either direction, holds evictions until the
clock has been steady for a while, and no image counts as idle from before it. Slow corrections (NTP slews at most
0.5 ms a second) are no jump. Time in which the machine was off or suspended for more than a day is not idle time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(seconds=10)  # between two looks, which are seconds apart
SETTLING = 300.0  # seconds of a steady clock before evictions go on
LONG_ABSENCE = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """The clocks, read together."""

    wall: datetime
    steady: float  # seconds since boot, sleep included; never jumps within one boot
    boot: str  # the kernel's ID of this boot; "" where it cannot be read
    awake: float | None = None  # seconds since boot in which the machine was not suspended; None: not known

    @property
    def booted_at(self) -> datetime:
        """When the machine started, by the wall clock of now."""
        return self.wall - timedelta(seconds=self.steady)


@dataclass(frozen=True, slots=True)
class MachineOff:
    """Time in which the machine was off, or suspended."""

    since: datetime
    until: datetime


def clock_jump(before: ClockReading, after: ClockReading) -> timedelta | None:
    """By how much the wall clock jumped between two readings; None where it did not, or nothing can be said.

    Over a reboot only a step back is seen: how long the machine was off is not known by any other clock.
    """
    if before.boot and before.boot == after.boot:
        moved = (after.wall - before.wall) - timedelta(seconds=after.steady - before.steady)
        return moved if abs(moved) > TOLERANCE else None
    back = after.wall - before.wall
    return back if back < -TOLERANCE else None


def machine_off(before: ClockReading, after: ClockReading) -> MachineOff | None:
    """The time for which the machine was off or suspended between two readings, where that was more than a day.

    When within that time a suspension happened is not known. It is taken to have ended just now: a use in between then
    lies before it, and no idle time is counted that was not there.
    """
    if before.boot == after.boot:
        suspended = _suspended(before, after)
        return MachineOff(after.wall - suspended, after.wall) if suspended > LONG_ABSENCE else None
    if after.booted_at - before.wall <= LONG_ABSENCE:
        return None
    return MachineOff(before.wall, after.booted_at)


def _suspended(before: ClockReading, after: ClockReading) -> timedelta:
    """What the clock that runs through a suspension gained on the one that stands still; none where one is unknown."""
    if before.awake is None or after.awake is None:
        return timedelta()
    return timedelta(seconds=(after.steady - before.steady) - (after.awake - before.awake))


def exclude_machine_off(absences: Iterable[MachineOff], since: datetime, now: datetime) -> datetime:
    """`since`, moved later by the time that the machine was off after it: that time is not idle time."""
    off = sum(
        (max(item.until - max(item.since, since), timedelta()) for item in absences if item.until <= now), timedelta()
    )
    return min(since + off, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMonitor:
    """What the looks so far have shown. `steady_since` is on the steady clock; None: never disturbed."""

    last: ClockReading
    steady_since: float | None = None

    def check(self, now: ClockReading, *, disturbed: bool = False) -> tuple["ClockMonitor", timedelta | None]:
        """One more look, and the jump that it found. `disturbed`: something else spoke against the clock."""
        moved = clock_jump(self.last, now)
        since = now.steady if moved is not None or disturbed else self.steady_since
        return ClockMonitor(last=now, steady_since=since), moved

    @property
    def trusted(self) -> bool:
        """Whether evictions may go on."""
        return self.steady_since is None or self.last.steady - self.steady_since >= SETTLING


def clocks_disagree(wall: datetime, engine: datetime | None) -> bool:
    """Whether the engine's own time speaks against ours. An engine that tells none does not."""
    return engine is not None and abs(wall - engine) > TOLERANCE
