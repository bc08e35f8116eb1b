"""Times as the database stores them: whole milliseconds since 1970 in UTC."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // _MILLISECOND

HOUR = 3_600_000  # milliseconds
DAY = 24 * HOUR


def to_ms(at: datetime) -> int:
    """A time with a zone. One outside 1970 to 9999 becomes the nearest in it: a host may send any, pages show all."""
    value = (at - _EPOCH) // _MILLISECOND
    return value if 0 <= value <= _LAST else min(max(value, 0), _LAST)


def to_ms_or_none(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def from_ms(value: int) -> datetime:
    return _EPOCH + value * _MILLISECOND


def hour_of(value: int) -> int:
    """When the hour of this time begins."""
    return value - value % HOUR


def day_of(value: int) -> int:
    """When the day of this time begins, in UTC."""
    return value - value % DAY
