"""When evictions may happen: weekly windows by the wall clock of one time zone."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAY = 24 * 60  # minutes
_WEEK = 7 * _DAY  # minutes
_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_FAR = timedelta(days=16)  # a weekly minute that a clock change skips comes again within two weeks

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FULL = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NUMBERS = {name.lower(): number for names in (_DAYS, _FULL) for number, name in enumerate(names)}
_EVERY_DAY = tuple(range(7))
_WINDOW = re.compile(r"(?:([^:]+) )?([0-9]{1,2}:[0-9]{2}) ?- ?([0-9]{1,2}:[0-9]{2})")
_EXAMPLE = "write days, if not every day, and times, like Mon-Fri 02:00-05:00 or 22:00-04:00"
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,40}(?:/[A-Za-z0-9_+-]{1,40}){0,2}")  # ZoneInfo recurses once for each part


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `start` to before `end`, on each of `days`. Raises ValueError if it can never open."""

    days: tuple[int, ...]  # on which it starts; 0 = Monday; sorted
    start: int  # minutes after local midnight, under 1440
    end: int  # likewise, up to 1440; if less than `start`, on the next day

    def __post_init__(self) -> None:
        if not self.days or list(self.days) != sorted(set(self.days) & set(_EVERY_DAY)):
            raise ValueError(f"the days of a window are numbers from 0 (Monday) to 6, sorted, not {self.days}")
        if not 0 <= self.start < _DAY or not 0 <= self.end <= _DAY:
            raise ValueError("a window starts from 00:00 to 23:59 and ends by 24:00, like 22:00-24:00")
        if self.start == self.end:
            raise ValueError("it ends when it starts, so it never opens; write 00:00-24:00 for the whole day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Open while the wall clock in `timezone` is in one of `windows`; always open without windows."""

    windows: tuple[Window, ...] = ()
    timezone: str = "UTC"  # a name in the tz database; `zone` checks it


def parse(text: str) -> Window:
    """Parse `Mon-Fri 02:00-05:00`, `Sat,Sun 00:00-24:00` or `Fri-Mon 22:30-01:00`; without days, every day.

    Raises ValueError, whose message says what to write.
    """
    match = _WINDOW.fullmatch(" ".join(text.split()))
    if match is None:
        raise ValueError(f"{text!r} is not a window; {_EXAMPLE}")
    try:
        return Window(days=_days(match[1]), start=_minute(match[2]), end=_minute(match[3]))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a window: {error}") from None


def _days(written: str | None) -> tuple[int, ...]:
    if written is None:
        return _EVERY_DAY
    days: set[int] = set()
    for part in written.split(","):
        first, dash, last = part.partition("-")
        start, end = _day(first), _day(last if dash else first)
        days.update((start + count) % 7 for count in range((end - start) % 7 + 1))
    return tuple(sorted(days))


def _day(name: str) -> int:
    number = _NUMBERS.get(name.strip().lower())
    if number is None:
        raise ValueError(f"{name.strip()!r} is not a day; write {', '.join(_DAYS)} or a range, like Mon-Fri")
    return number


def _minute(written: str) -> int:
    hours, minutes = map(int, written.split(":"))
    if minutes > 59 or hours * 60 + minutes > _DAY:
        raise ValueError(f"{written} is not a time of day; write 00:00 to 24:00, like 02:00-05:00")
    return hours * 60 + minutes


def text(window: Window) -> str:
    """A window as text, from which `parse` gives the same window."""
    times = f"{_clock(window.start)}-{_clock(window.end)}"
    return times if window.days == _EVERY_DAY else f"{','.join(_runs(window.days))} {times}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _runs(days: tuple[int, ...]) -> Iterator[str]:
    """The days as text, with a range for three or more days in a row."""
    while days:
        length = next((count for count, day in enumerate(days) if day != days[0] + count), len(days))
        if length > 2:
            yield f"{_DAYS[days[0]]}-{_DAYS[days[length - 1]]}"
        else:
            yield from (_DAYS[day] for day in days[:length])
        days = days[length:]


def zone(name: str) -> ZoneInfo:
    """The time zone with that name. Raises ValueError, whose message says what to write."""
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder, like Europe
        pass
    raise ValueError(
        f"{name!r} is not a time zone known here; write a name of the tz database, like Europe/Berlin or UTC"
    )


def is_open(schedule: Schedule, now: datetime) -> bool:
    """Whether evictions may happen at `now`. Raises ValueError for an unknown zone or a time without one."""
    return next(_states(schedule, now))[1]


def next_opening(schedule: Schedule, now: datetime) -> datetime | None:
    """The first instant (UTC) from `now` on at which it is open, which may be `now`; None if not within 16 days."""
    return next((at for at, opened in _states(schedule, now) if opened), None)


def next_closing(schedule: Schedule, now: datetime) -> datetime | None:
    """When it closes next (UTC); None if it is not open at `now` or never closes."""
    if not is_open(schedule, now):
        return None
    return next((at for at, opened in _states(schedule, now) if not opened), None)


def _states(schedule: Schedule, now: datetime) -> Iterator[tuple[datetime, bool]]:
    """Whether it is open at `now` (UTC), and at each later instant at which that may change."""
    if now.tzinfo is None:
        raise ValueError(f"a time without a zone: {now!r}")
    at = now.astimezone(UTC)
    if not schedule.windows:
        yield at, True
        return
    edges, where, end = _edges(schedule.windows), zone(schedule.timezone), at + _FAR
    while at < end:
        local = at.astimezone(where)
        minute = local.weekday() * _DAY + local.hour * 60 + local.minute
        passed = bisect_right(edges, minute)
        yield at, passed % 2 == 1
        into = timedelta(seconds=local.second, microseconds=local.microsecond)
        edge = edges[passed] if passed < len(edges) else _WEEK
        at = _before_shift(at, at + (edge - minute) * _MINUTE - into, where)


def _edges(windows: Iterable[Window]) -> tuple[int, ...]:
    """The minutes of the week at which it opens, closes, opens and so on; overlapping windows are merged."""
    edges: list[int] = []
    for start, end in sorted(span for window in windows for span in _spans(window)):
        if edges and start <= edges[-1]:
            edges[-1] = max(edges[-1], end)
        else:
            edges += [start, end]
    return tuple(edges)


def _spans(window: Window) -> Iterator[tuple[int, int]]:
    length = (window.end - window.start) % _DAY or _DAY
    for day in window.days:
        start = day * _DAY + window.start
        yield start, min(start + length, _WEEK)
        if start + length > _WEEK:
            yield 0, start + length - _WEEK


def _before_shift(at: datetime, until: datetime, where: ZoneInfo) -> datetime:
    """`until`, or the earlier instant at which the zone's offset changes; before that, the wall clock runs evenly.

    `until` is in the same week, Monday to Sunday: no zone in the tz database has changed twice in a week since 1970.
    """
    offset = at.astimezone(where).utcoffset()
    if until.astimezone(where).utcoffset() == offset:
        return until
    second = at.replace(microsecond=0)  # offsets change on whole seconds
    seconds = range((until - second) // _SECOND)
    return second + _SECOND * bisect_left(
        seconds, True, key=lambda count: (second + _SECOND * count).astimezone(where).utcoffset() != offset
    )
