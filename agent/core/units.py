"""Parses and formats durations (`90s`, `12h`, `14d`), sizes (`200GB`), percentages and times."""

import re
from datetime import UTC, datetime, timedelta

from agent.core.text import quoted

_DURATION = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d|w)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_LONGEST = timedelta(days=36500)


def parse_duration(text: object) -> timedelta:
    """Parse `90s`, `15m`, `12h`, `14d` or `2w`; a bare `0` needs no unit.

    Raises ValueError, whose message says what to write, for anything else and for more than 100 years.
    """
    if isinstance(text, timedelta):
        return text
    if text in ("0", 0) and text is not False:
        return timedelta()
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{quoted(text)} is not a duration; write a number and a unit, like 90s, 12h or 14d")
    number, unit = float(match[1]), _UNITS[match[2]]
    if number > _LONGEST / unit:  # checked before multiplying, as a timedelta can overflow
        raise ValueError(f"{quoted(text)} is longer than 100 years")
    return number * unit


def duration_text(value: timedelta) -> str:
    """The shortest text from which `parse_duration` gives the same value: `14d`, `90s`, `0s`."""
    for unit in ("d", "h", "m"):
        if value and not value % _UNITS[unit]:
            return f"{value // _UNITS[unit]}{unit}"
    return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([kMGTP]?i?B)")
_PREFIXES = " kMGTP"
_LARGEST = 10**18  # bytes; more than any host has, and far below the limit of 64 bits


def parse_size(text: object) -> int:
    """Parse `200GB` or `10GiB` to bytes.

    Raises ValueError, whose message says what to write, for anything else and for more than 1000 PB.
    """
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or match[2] == "iB":
        raise ValueError(f"{quoted(text)} is not a size; write a number and a unit, like 500MB, 200GB or 10GiB")
    base = 1024 if "i" in match[2] else 1000
    power = 0 if match[2] == "B" else _PREFIXES.index(match[2][0])
    value = int(float(match[1]) * base**power)
    if value > _LARGEST:
        raise ValueError(f"{quoted(text)} is more than 1000 PB")
    return value


def size_text(value: int) -> str:
    """The shortest text from which `parse_size` gives the same value: `200GB`, `10GiB`, `1B`."""
    for power in range(len(_PREFIXES) - 1, 0, -1):
        for base, infix in ((1000, ""), (1024, "i")):
            if value and not value % base**power:
                return f"{value // base**power}{_PREFIXES[power]}{infix}B"
    return f"{value}B"


_SHARE = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,3})?)\s*%")


def parse_percent(text: object) -> float:
    """Parse `85%` to 0.85. Raises ValueError, whose message says what to write, also for 0 % and 100 %."""
    if isinstance(text, float) and 0 < text < 1:
        return text
    match = _SHARE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or float(match[1]) == 0:
        raise ValueError(f'{quoted(text)} is not a percentage; write it with its sign, between 0 and 100, like "85%"')
    return float(match[1]) / 100


def percent_text(value: float) -> str:
    """The text from which `parse_percent` gives the same value: `85%`, `75.5%`."""
    return f"{value * 100:.5g}%"


def format_duration(value: timedelta) -> str:
    """A duration for people, in its two largest units: `15 d 3 h`, `4 min 10 s`, `0.4 s`."""
    seconds = value.total_seconds()
    if seconds < 0:
        return "-" + format_duration(-value)
    if seconds < 10:
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + " s"
    parts: list[tuple[int, str]] = []
    rest = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def format_bytes(count: int) -> str:
    """A number of bytes in decimal units, as `docker images` shows it: `4.8 GB`."""
    value, sign = float(abs(count)), "-" if count < 0 else ""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    text = f"{value:.0f}" if unit == "B" or value >= 99.95 else f"{value:.1f}"
    return f"{sign}{text} {unit}"


def format_time(at: datetime) -> str:
    """A time as RFC 3339 in UTC with `Z`. Raises ValueError for a time without a zone."""
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {at!r}")
    text = at.astimezone(UTC).isoformat(timespec="microseconds")
    return text.replace(".000000", "").replace("+00:00", "Z")


def time_for_people(at: datetime, now: datetime) -> str:
    """A time to the minute, with its distance: `2026-11-24 23:07 UTC (9 min ago)`, `... (in 3 d 2 h)`, `... (now)`."""
    distance = now - at
    if abs(distance) < timedelta(seconds=1):
        beside = "now"
    else:
        beside = f"{format_duration(distance)} ago" if distance > timedelta() else f"in {format_duration(-distance)}"
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({beside})"


_DATE, _CLOCK = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "[0-9]{2}:[0-9]{2}"
_TIME = re.compile(rf"({_DATE}T{_CLOCK}:[0-9]{{2}})(?:\.([0-9]{{1,9}}))?(Z|[+-]{_CLOCK})")


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time in UTC; None for Docker's "never" (year 1) and for any other text."""
    match = _TIME.fullmatch(text or "")
    if match is None:
        return None
    micros = (match[2] or "0")[:6].ljust(6, "0")
    try:
        at = datetime.fromisoformat(f"{match[1]}.{micros}{match[3].replace('Z', '+00:00')}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if at.year > 1 else None
