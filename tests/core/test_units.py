"""Durations, sizes and times, both ways."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import text, units
from tests.core.written import ACCEPTED
from tests.support.times import START


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("14d", timedelta(days=14)),
        ("2w", timedelta(days=14)),
        ("0.5h", timedelta(minutes=30)),
        ("250ms", timedelta(milliseconds=250)),
        (" 7 d ", timedelta(days=7)),
        ("0", timedelta()),
        (0, timedelta()),
    ],
)
def test_a_duration_is_a_number_and_a_unit(written: object, meant: timedelta) -> None:
    assert units.parse_duration(written) == meant


@pytest.mark.parametrize(
    "written", ["14", "d", "14 days", "-1d", "1d 2h", "", "1e3s", None, 14, True, False, "9" * 20 + "d"]
)
def test_anything_else_is_refused_with_the_way_out(written: object) -> None:
    with pytest.raises(ValueError, match="like 90s, 12h or 14d"):
        units.parse_duration(written)


@pytest.mark.parametrize("written", ["2348.96w", "3153599999.999999s", "36500d"])
def test_a_duration_of_decades_is_read_back_as_it_is_written(written: str) -> None:
    value = units.parse_duration(written)
    assert units.parse_duration(units.duration_text(value)) == value


@pytest.mark.parametrize("written", ["99999999w", "999999999w", "999999999.999999w", "5215w"])
def test_a_duration_of_more_than_a_century_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=f"'{written}' is longer than 100 years"):
        units.parse_duration(written)


def test_an_error_about_a_value_is_printable_and_short() -> None:
    with pytest.raises(ValueError, match="is not a duration") as raised:
        units.parse_duration("\x1b[31m\ud800" + "9" * 1_000_000)
    assert len(str(raised.value)) < 200
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("written", ["999999999999999PB", "999999999999999.999999PiB", "1001PB"])
def test_a_size_that_no_host_has_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is more than 1000 PB"):
        units.parse_size(written)


def test_the_largest_size_is_read() -> None:
    assert units.parse_size("1000PB") == 10**18


@given(st.one_of([st.tuples(st.just(read), texts) for read, texts in ACCEPTED.items()]))
def test_whatever_the_patterns_accept_is_a_value_or_a_value_error(case: tuple[Callable[[object], object], str]) -> None:
    read, written = case
    try:
        value = read(written)
    except ValueError:
        return
    if isinstance(value, timedelta):
        assert timedelta() <= value <= timedelta(days=36500)
        assert units.parse_duration(units.duration_text(value)) == value
        assert START + value  # a date can be made with it
    elif isinstance(value, int):
        assert 0 <= value <= 10**18
    else:
        assert isinstance(value, float)
        assert 0 < value < 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.4, "0.4 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (15 * 86400 + 3 * 3600 + 59, "15 d 3 h"),
        (86400 + 59, "1 d"),
        (-90, "-1 min 30 s"),
    ],
)
def test_a_duration_shows_its_two_largest_units(seconds: float, shown: str) -> None:
    assert units.format_duration(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_960, "1.0 MB"),
        (4_810_000_000, "4.8 GB"),
        (128_000_000_000, "128 GB"),
        (54_321_000_000_000_000, "54321 TB"),
        (-4096, "-4.1 kB"),
    ],
)
def test_bytes_are_shown_in_decimal_units(count: int, shown: str) -> None:
    assert units.format_bytes(count) == shown


def test_a_time_is_rfc_3339_in_utc() -> None:
    at = datetime(2026, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert units.format_time(at) == "2026-06-01T12:00:00Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        units.format_time(datetime(2026, 6, 1))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-06-01T12:00:00.123456789Z", datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-06-01T14:00:00+02:00", datetime(2026, 6, 1, 12, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-06-01", None),
        ("", None),
    ],
)
def test_the_engines_times_are_read_and_its_zero_time_is_not_a_time(written: str, meant: datetime | None) -> None:
    assert units.parse_time(written) == meant


@given(st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)))  # noqa: DTZ001
def test_a_time_survives_being_written(at: datetime) -> None:
    assert units.parse_time(units.format_time(at)) == at


def test_what_a_terminal_would_obey_is_replaced() -> None:
    assert text.clean("a\x1b[31mb\r\u202ec\nd é") == "a\ufffd[31mb\ufffd\ufffdc\nd é"


@pytest.mark.parametrize("written", ["1B", "999B", "200GB", "10GiB", "1500MB", "1PB", "7kB", "1000PB"])
def test_a_size_is_written_as_it_is_read(written: str) -> None:
    assert units.size_text(units.parse_size(written)) == written


@pytest.mark.parametrize("written", ["85%", "75.5%", "0.1%", "99.999%", "7%"])
def test_a_percentage_is_written_as_it_is_read(written: str) -> None:
    assert units.percent_text(units.parse_percent(written)) == written
