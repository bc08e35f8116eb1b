"""The clock: jumps are seen, slews and sleep are not, and time off is no idle time."""

from datetime import timedelta

import pytest

from agent.core import timekeeping
from agent.core.timekeeping import SETTLING, ClockMonitor, ClockReading, MachineOff
from tests.support.builders import NOW
from tests.support.times import DAY, HOUR, SECOND


def reading(wall: timedelta = timedelta(), steady: float = 1000.0, boot: str = "b1") -> ClockReading:
    return ClockReading(wall=NOW + wall, steady=steady, boot=boot)


FIRST = reading()
JUMPS = [
    ("time simply passes", reading(HOUR, 1000.0 + 3600), None),
    ("a step within the tolerance", reading(10 * SECOND), None),
    ("a step of a moment more", reading(11 * SECOND), 11 * SECOND),
    ("a step back", reading(-11 * SECOND), -11 * SECOND),
    ("a step back while time passes", reading(HOUR - DAY, 1000.0 + 3600), -DAY),
    ("a reboot", reading(DAY, 5.0, "b2"), None),
    ("a reboot into the past", reading(-DAY, 5.0, "b2"), -DAY),
    ("a boot that cannot be told from the last", reading(DAY, 1000.0, ""), None),
]


@pytest.mark.parametrize(("what", "after", "moved"), JUMPS, ids=[case[0] for case in JUMPS])
def test_a_jump_is(what: str, after: ClockReading, moved: timedelta | None) -> None:
    assert timekeeping.clock_jump(FIRST, after) == moved


def test_a_day_off_is_not_an_absence_and_a_moment_more_is() -> None:
    just = reading(DAY + 60 * SECOND, 60.0, "b2")
    more = reading(DAY + 61 * SECOND, 60.0, "b2")
    assert timekeeping.machine_off(FIRST, just) is None
    assert timekeeping.machine_off(FIRST, more) == MachineOff(NOW, NOW + DAY + SECOND)


def test_an_agent_that_was_away_on_a_machine_that_ran_is_not_an_absence() -> None:
    assert timekeeping.machine_off(FIRST, reading(30 * DAY, 1000.0 + 30 * 86400)) is None


def test_time_off_is_not_idle_time() -> None:
    month = MachineOff(NOW - 31 * DAY, NOW - DAY)
    assert timekeeping.exclude_machine_off([month], NOW - 32 * DAY, NOW) == NOW - 2 * DAY
    assert timekeeping.exclude_machine_off([month], NOW - 10 * DAY, NOW) == NOW - DAY
    assert timekeeping.exclude_machine_off([month], NOW - HOUR, NOW) == NOW - HOUR
    assert timekeeping.exclude_machine_off([], NOW - HOUR, NOW) == NOW - HOUR


def test_several_absences_add_up() -> None:
    weekends = [MachineOff(NOW - 9 * DAY, NOW - 7 * DAY), MachineOff(NOW - 3 * DAY, NOW - DAY)]
    assert timekeeping.exclude_machine_off(weekends, NOW - 10 * DAY, NOW) == NOW - 6 * DAY


def test_an_absence_never_reaches_into_the_future() -> None:
    assert timekeeping.exclude_machine_off([MachineOff(NOW - DAY, NOW + DAY)], NOW - 2 * DAY, NOW) == NOW - 2 * DAY
    assert timekeeping.exclude_machine_off([MachineOff(NOW - 9 * DAY, NOW)], NOW - 10 * DAY, NOW) == NOW - DAY


def test_a_clock_that_never_jumped_is_trusted() -> None:
    watch, moved = ClockMonitor(last=FIRST).check(reading(HOUR, 4600.0))
    assert (watch.trusted, moved) == (True, None)


def test_after_a_jump_the_clock_is_trusted_when_it_was_steady_for_a_while() -> None:
    watch, moved = ClockMonitor(last=FIRST).check(reading(DAY))
    assert (watch.trusted, moved) == (False, DAY)
    almost, _ = watch.check(reading(DAY + (SETTLING - 1) * SECOND, 1000.0 + SETTLING - 1))
    settled, _ = almost.check(reading(DAY + SETTLING * SECOND, 1000.0 + SETTLING))
    assert (almost.trusted, settled.trusted) == (False, True)


def test_a_second_jump_begins_the_wait_anew() -> None:
    watch, _ = ClockMonitor(last=FIRST).check(reading(DAY))
    again, moved = watch.check(reading(timedelta(seconds=200), 1200.0))
    assert (again.trusted, moved) == (False, -DAY)
    later, _ = again.check(reading(timedelta(seconds=400), 1400.0))
    assert not later.trusted


def test_an_engine_of_another_time_disturbs_the_clock() -> None:
    watch, moved = ClockMonitor(last=FIRST).check(reading(SECOND, 1001.0), disturbed=True)
    assert (watch.trusted, moved) == (False, None)


def test_the_engine_disagrees_beyond_the_tolerance() -> None:
    assert not timekeeping.clocks_disagree(NOW, NOW + 10 * SECOND)
    assert timekeeping.clocks_disagree(NOW, NOW + 11 * SECOND)
    assert timekeeping.clocks_disagree(NOW, NOW - 11 * SECOND)
    assert not timekeeping.clocks_disagree(NOW, None)
