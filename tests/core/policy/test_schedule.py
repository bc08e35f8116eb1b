"""Windows by the wall clock: over midnight, over the week's end and over every kind of clock change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agent.core.policy import schedule
from agent.core.policy.schedule import Schedule, Window

MINUTE = timedelta(minutes=1)
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)  # far from any change of the clock


def make_schedule(*windows: str, timezone: str = "UTC") -> Schedule:
    return Schedule(windows=tuple(map(schedule.parse, windows)), timezone=timezone)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def spells(times: Schedule, since: str, until: str) -> list[tuple[str, str]]:
    """When it opens and closes, as the two questions tell it, from one answer to the next."""
    found: list[tuple[str, str]] = []
    opening = schedule.next_opening(times, at(since))
    while opening is not None and opening < at(until):
        closing = schedule.next_closing(times, opening)
        assert closing is not None
        assert opening.tzinfo is closing.tzinfo is UTC
        found.append((f"{opening:%m-%d %H:%M:%S}", f"{closing:%m-%d %H:%M:%S}"))
        opening = schedule.next_opening(times, closing)
    return found


@pytest.mark.parametrize(
    ("written", "meant", "shown"),
    [
        ("Mon-Fri 02:00-05:00", Window(days=(0, 1, 2, 3, 4), start=120, end=300), "Mon-Fri 02:00-05:00"),
        ("Sat,Sun 00:00-24:00", Window(days=(5, 6), start=0, end=1440), "Sat,Sun 00:00-24:00"),
        ("22:00-04:00", Window(days=EVERY_DAY, start=1320, end=240), "22:00-04:00"),
        ("Mon,Wed-Fri 22:30-01:00", Window(days=(0, 2, 3, 4), start=1350, end=60), "Mon,Wed-Fri 22:30-01:00"),
        ("Fri-Mon 01:00-02:00", Window(days=(0, 4, 5, 6), start=60, end=120), "Mon,Fri-Sun 01:00-02:00"),
        (
            "sunday - TUESDAY , thu 1:00 - 2:59",
            Window(days=(0, 1, 3, 6), start=60, end=179),
            "Mon,Tue,Thu,Sun 01:00-02:59",
        ),
        ("Wed-Wed 00:00-00:01", Window(days=(2,), start=0, end=1), "Wed 00:00-00:01"),
        ("Tue-Mon 23:59-24:00", Window(days=EVERY_DAY, start=1439, end=1440), "23:59-24:00"),
        ("Sun,Sun,Sat-Sun 22:00-00:00", Window(days=(5, 6), start=1320, end=0), "Sat,Sun 22:00-00:00"),
        ("  Mon\t00:01-00:00\n", Window(days=(0,), start=1, end=0), "Mon 00:01-00:00"),
    ],
)
def test_a_window_is_days_and_times_and_has_one_written_form(written: str, meant: Window, shown: str) -> None:
    assert schedule.parse(written) == meant
    assert schedule.text(meant) == shown


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("02:00-02:00", "never opens; write 00:00-24:00 for the whole day"),
        ("Mon 00:00-00:00", "never opens; write 00:00-24:00 for the whole day"),
        ("25:00-03:00", "25:00 is not a time of day; write 00:00 to 24:00, like 02:00-05:00"),
        ("Mon 02:00-24:01", "24:01 is not a time of day; write 00:00 to 24:00, like 02:00-05:00"),
        ("02:60-03:00", "02:60 is not a time of day; write 00:00 to 24:00, like 02:00-05:00"),
        ("24:00-02:00", "from 00:00 to 23:59 and ends by 24:00, like 22:00-24:00"),
        ("Foo 02:00-05:00", "'Foo' is not a day; write Mon, Tue, Wed, Thu, Fri, Sat, Sun or a range, like Mon-Fri"),
        ("Mon-Foo 02:00-05:00", "'Foo' is not a day"),
        ("Mon, 02:00-05:00", "'' is not a day"),
        ("Mon- 02:00-05:00", "'' is not a day"),
        ("Mon-Wed-Fri 02:00-05:00", "'Wed-Fri' is not a day"),
        ("Mo 02:00-05:00", "'Mo' is not a day"),
        ("Mon 02:00-05:00, Tue 03:00-04:00", "like Mon-Fri 02:00-05:00 or 22:00-04:00"),
        ("Mon02:00-05:00", "like Mon-Fri 02:00-05:00 or 22:00-04:00"),
        ("Mon", "like Mon-Fri 02:00-05:00 or 22:00-04:00"),
        ("02:00", "like Mon-Fri 02:00-05:00 or 22:00-04:00"),
        ("2-5", "like Mon-Fri 02:00-05:00 or 22:00-04:00"),
        ("-02:00-05:00", "like Mon-Fri 02:00-05:00 or 22:00-04:00"),
        ("02:00-05:00 UTC", "like Mon-Fri 02:00-05:00 or 22:00-04:00"),
        ("\u0660\u0662:00-05:00", "like Mon-Fri 02:00-05:00 or 22:00-04:00"),
        ("", "like Mon-Fri 02:00-05:00 or 22:00-04:00"),
    ],
)
def test_anything_else_is_refused_by_name_and_with_the_way_out(written: str, said: str) -> None:
    with pytest.raises(ValueError, match="is not a window") as caught:
        schedule.parse(written)
    assert said in str(caught.value)
    assert repr(written) in str(caught.value)


@given(st.text() | st.from_regex(r"[MonTueSat,\- ]{0,9} ?[0-9]{1,3}:[0-9]{1,3}-[0-9]{1,2}:[0-9]{2}"))
def test_any_text_is_a_window_or_a_value_error(written: str) -> None:
    try:
        window = schedule.parse(written)
    except ValueError as error:
        assert repr(written) in str(error)  # noqa: PT017 - either is right
    else:
        assert schedule.parse(schedule.text(window)) == window


IMPOSSIBLE = [((), 0, 60), ((7,), 0, 60), ((-1,), 0, 60), ((1, 0), 0, 60), ((1, 1), 0, 60)]
IMPOSSIBLE += [((0,), -1, 60), ((0,), 1440, 60), ((0,), 0, 1441), ((0,), 60, -1), ((0,), 60, 60)]


@pytest.mark.parametrize(("days", "start", "end"), IMPOSSIBLE)
def test_a_window_that_could_not_be_written_cannot_be_made(days: tuple[int, ...], start: int, end: int) -> None:
    with pytest.raises(ValueError, match=r"the days of a window|a window starts|never opens"):
        Window(days=days, start=start, end=end)
    with pytest.raises(ValidationError):
        TypeAdapter(Window).validate_python({"days": days, "start": start, "end": end})


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12"])
def test_a_zone_is_known_by_its_name(name: str) -> None:
    assert schedule.zone(name) == ZoneInfo(name)


NOT_ZONES = ["", ".", "..", "../UTC", "/etc/localtime", "/usr/share/zoneinfo/UTC", "Europe", "Europe/", "Europe/../UTC"]
NOT_ZONES += [
    "Europe//Berlin",
    "Mars/Phobos",
    "zone.tab",
    "leapseconds",
    "+01:00",
    "UTC\n",
    "UTC\x00",
    "\ud800",
    "x" * 5000,
]
NOT_ZONES += ["a/" * 5000 + "a"]


@pytest.mark.parametrize("name", NOT_ZONES)
def test_a_zone_that_is_not_known_is_a_value_error_with_the_way_out(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time zone known here; .* like Europe/Berlin or UTC"):
        schedule.zone(name)


def test_a_folder_that_the_zone_reader_trips_over_is_a_value_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def tripped(name: str) -> ZoneInfo:
        raise IsADirectoryError(21, name)

    monkeypatch.setattr(schedule, "ZoneInfo", tripped)
    with pytest.raises(ValueError, match="is not a time zone known here"):
        schedule.zone("Europe")


@given(st.text() | st.text("./-_aUTC", max_size=12))
def test_any_text_is_a_zone_or_a_value_error(name: str) -> None:
    try:
        assert schedule.zone(name).key == name
    except ValueError as error:
        assert repr(name) in str(error)  # noqa: PT017 - either is right


def test_a_schedule_survives_json() -> None:
    times = make_schedule("Mon-Fri 02:00-05:00", "22:00-04:00", timezone="Europe/Berlin")
    adapter = TypeAdapter(Schedule)
    assert adapter.validate_json(adapter.dump_json(times)) == times
    assert adapter.validate_python({}) == Schedule(windows=(), timezone="UTC")


def test_without_windows_it_is_open_always() -> None:
    assert schedule.is_open(Schedule(), MONDAY)
    assert schedule.next_opening(Schedule(), MONDAY) == MONDAY
    assert schedule.next_closing(Schedule(), MONDAY) is None


def test_without_windows_a_host_without_zones_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "zone", None)
    assert schedule.is_open(Schedule(), MONDAY)


@pytest.mark.parametrize("windows", [("00:00-24:00",), ("20:00-06:00", "06:00-20:00"), ("12:00-00:00", "00:00-13:00")])
def test_what_fills_the_week_never_closes(windows: tuple[str, ...]) -> None:
    times = make_schedule(*windows, timezone="Europe/Berlin")
    assert schedule.next_opening(times, MONDAY) == MONDAY
    assert schedule.next_closing(times, MONDAY) is None


@pytest.mark.parametrize(
    ("window", "now", "opened"),
    [
        ("Mon 02:00-05:00", "2026-06-01 01:59:59.999999", False),
        ("Mon 02:00-05:00", "2026-06-01 02:00:00", True),
        ("Mon 02:00-05:00", "2026-06-01 04:59:59.999999", True),
        ("Mon 02:00-05:00", "2026-06-01 05:00:00", False),
        ("Mon 02:00-05:00", "2026-06-02 03:00:00", False),
        ("Fri 22:00-04:00", "2026-06-05 03:59:59", False),
        ("Fri 22:00-04:00", "2026-06-05 22:00:00", True),
        ("Fri 22:00-04:00", "2026-06-06 03:59:59", True),
        ("Fri 22:00-04:00", "2026-06-06 04:00:00", False),
        ("Fri 22:00-04:00", "2026-06-06 22:00:00", False),
        ("Sun 22:00-04:00", "2026-06-07 23:59:59", True),
        ("Sun 22:00-04:00", "2026-06-08 00:00:00", True),
        ("Sun 22:00-04:00", "2026-06-08 04:00:00", False),
        ("Sun 22:00-04:00", "2026-06-07 03:00:00", False),
        ("Mon 00:00-24:00", "2026-06-01 00:00:00", True),
        ("Mon 00:00-24:00", "2026-06-01 23:59:59", True),
        ("Mon 00:00-24:00", "2026-06-02 00:00:00", False),
        ("Mon 00:00-24:00", "2026-05-31 23:59:59", False),
        ("Mon 12:00-00:00", "2026-06-01 23:59:59", True),
        ("Mon 12:00-00:00", "2026-06-02 00:00:00", False),
    ],
)
def test_it_is_open_from_the_start_up_to_but_without_the_end(window: str, now: str, opened: bool) -> None:
    times = make_schedule(window)
    assert schedule.is_open(times, at(now)) is opened
    assert (schedule.next_opening(times, at(now)) == at(now)) is opened
    assert (schedule.next_closing(times, at(now)) is None) is not opened


@pytest.mark.parametrize(
    ("windows", "found"),
    [
        (("Mon,Wed 02:00-05:00",), [("06-01 02:00:00", "06-01 05:00:00"), ("06-03 02:00:00", "06-03 05:00:00")]),
        (("Sat,Sun 00:00-24:00",), [("06-06 00:00:00", "06-08 00:00:00")]),
        (("Sun 22:00-04:00",), [("06-01 00:00:00", "06-01 04:00:00"), ("06-07 22:00:00", "06-08 04:00:00")]),
        (("Sat 22:00-24:00", "Sun 00:00-01:00"), [("06-06 22:00:00", "06-07 01:00:00")]),
        (("Tue 01:00-03:00", "Tue 02:00-02:30", "Tue 03:00-04:00"), [("06-02 01:00:00", "06-02 04:00:00")]),
        (("Fri 22:00-24:00", "Sat 00:00-01:00"), [("06-05 22:00:00", "06-06 01:00:00")]),
        (("Thu 00:00-24:00", "Thu 12:00-11:00"), [("06-04 00:00:00", "06-05 11:00:00")]),
    ],
)
def test_a_week_of_openings_and_closings(windows: tuple[str, ...], found: list[tuple[str, str]]) -> None:
    assert spells(make_schedule(*windows), "2026-06-01 00:00", "2026-06-08 00:00") == found


def test_half_way_through_a_second_the_next_opening_is_still_on_the_minute() -> None:
    times = make_schedule("Sun 02:30-05:00", timezone="Europe/Berlin")
    now = at("2026-03-28 23:59:59.987654")
    assert schedule.next_opening(times, now) == at("2026-03-29 01:00")
    assert schedule.next_closing(times, at("2026-03-29 01:00:00.5")) == at("2026-03-29 03:00")


SPRING_BERLIN = ("Europe/Berlin", "2026-03-28 12:00", "2026-03-29 12:00")  # at 01:00 UTC, 02:00 becomes 03:00
AUTUMN_BERLIN = ("Europe/Berlin", "2026-10-24 12:00", "2026-10-25 12:00")  # at 01:00 UTC, 03:00 becomes 02:00
SPRING_NEW_YORK = ("America/New_York", "2026-03-07 17:00", "2026-03-08 17:00")  # at 07:00 UTC, 02:00 becomes 03:00
AUTUMN_NEW_YORK = ("America/New_York", "2026-10-31 17:00", "2026-11-01 17:00")  # at 06:00 UTC, 02:00 becomes 01:00
SPRING_LORD_HOWE = ("Australia/Lord_Howe", "2026-10-03 02:00", "2026-10-04 02:00")  # 15:30 UTC: 02:00 becomes 02:30
AUTUMN_LORD_HOWE = ("Australia/Lord_Howe", "2026-04-04 02:00", "2026-04-05 02:00")  # 15:00 UTC: 02:00 becomes 01:30


@pytest.mark.parametrize(
    ("change", "window", "found"),
    [
        (SPRING_BERLIN, "02:00-03:00", []),
        (SPRING_BERLIN, "02:10-02:50", []),
        (SPRING_BERLIN, "01:00-02:00", [("03-29 00:00:00", "03-29 01:00:00")]),
        (SPRING_BERLIN, "01:00-02:30", [("03-29 00:00:00", "03-29 01:00:00")]),
        (SPRING_BERLIN, "02:30-05:00", [("03-29 01:00:00", "03-29 03:00:00")]),
        (SPRING_BERLIN, "03:00-05:00", [("03-29 01:00:00", "03-29 03:00:00")]),
        (SPRING_BERLIN, "01:00-04:00", [("03-29 00:00:00", "03-29 02:00:00")]),
        (SPRING_BERLIN, "Sat 22:00-04:00", [("03-28 21:00:00", "03-29 02:00:00")]),
        (AUTUMN_BERLIN, "02:00-03:00", [("10-25 00:00:00", "10-25 02:00:00")]),
        (AUTUMN_BERLIN, "02:10-02:50", [("10-25 00:10:00", "10-25 00:50:00"), ("10-25 01:10:00", "10-25 01:50:00")]),
        (AUTUMN_BERLIN, "01:00-02:00", [("10-24 23:00:00", "10-25 00:00:00")]),
        (AUTUMN_BERLIN, "01:00-02:30", [("10-24 23:00:00", "10-25 00:30:00"), ("10-25 01:00:00", "10-25 01:30:00")]),
        (AUTUMN_BERLIN, "02:30-05:00", [("10-25 00:30:00", "10-25 01:00:00"), ("10-25 01:30:00", "10-25 04:00:00")]),
        (AUTUMN_BERLIN, "03:00-05:00", [("10-25 02:00:00", "10-25 04:00:00")]),
        (SPRING_NEW_YORK, "02:00-03:00", []),
        (SPRING_NEW_YORK, "02:30-05:00", [("03-08 07:00:00", "03-08 09:00:00")]),
        (SPRING_NEW_YORK, "Sat 22:00-04:00", [("03-08 03:00:00", "03-08 08:00:00")]),
        (AUTUMN_NEW_YORK, "01:00-02:00", [("11-01 05:00:00", "11-01 07:00:00")]),
        (AUTUMN_NEW_YORK, "01:15-01:45", [("11-01 05:15:00", "11-01 05:45:00"), ("11-01 06:15:00", "11-01 06:45:00")]),
        (AUTUMN_NEW_YORK, "Sat 22:00-04:00", [("11-01 02:00:00", "11-01 09:00:00")]),
        (SPRING_LORD_HOWE, "02:00-02:30", []),
        (SPRING_LORD_HOWE, "02:15-03:00", [("10-03 15:30:00", "10-03 16:00:00")]),
        (AUTUMN_LORD_HOWE, "01:30-02:00", [("04-04 14:30:00", "04-04 15:30:00")]),
        (AUTUMN_LORD_HOWE, "01:40-01:50", [("04-04 14:40:00", "04-04 14:50:00"), ("04-04 15:10:00", "04-04 15:20:00")]),
    ],
)
def test_over_a_change_of_the_clock(change: tuple[str, str, str], window: str, found: list[tuple[str, str]]) -> None:
    timezone, since, until = change
    assert spells(make_schedule(window, timezone=timezone), since, until) == found


@pytest.mark.parametrize(
    ("timezone", "window", "since", "opening"),
    [
        ("Europe/Berlin", "Sun 02:00-03:00", "2026-03-22 02:00", "2026-04-05 00:00"),  # that hour, a week later
        ("Pacific/Apia", "Fri 09:00-10:00", "2011-12-23 20:00", "2012-01-05 19:00"),  # there was no 30 December
        ("Pacific/Apia", "Fri 22:00-04:00", "2011-12-24 14:00", "2011-12-30 10:00"),  # its Saturday half, from the jump
        ("Pacific/Tongatapu", "Mon 00:00-01:00", "2026-06-01 00:00", "2026-06-07 11:00"),  # +13
        ("Pacific/Kiritimati", "Mon 00:00-01:00", "2026-06-01 00:00", "2026-06-07 10:00"),  # +14
        ("Asia/Kathmandu", "Tue 00:00-01:00", "2026-06-01 00:00", "2026-06-01 18:15"),  # +5:45
    ],
)
def test_where_clocks_and_calendars_are_odd(timezone: str, window: str, since: str, opening: str) -> None:
    assert schedule.next_opening(make_schedule(window, timezone=timezone), at(since)) == at(opening)


def test_an_hour_that_was_skipped_does_not_make_the_rest_of_the_week_endless() -> None:
    times = make_schedule("Mon-Sat 00:00-24:00", "Sun 00:00-02:00", "Sun 03:00-24:00", timezone="Europe/Berlin")
    assert schedule.next_closing(times, at("2026-03-22 02:00")) == at("2026-04-05 00:00")


def test_a_time_is_taken_in_any_zone_and_answered_in_utc() -> None:
    times, now = make_schedule("02:00-05:00"), MONDAY.astimezone(ZoneInfo("Asia/Tokyo"))
    opening = schedule.next_opening(times, now)
    assert opening is not None
    assert opening.isoformat() == "2026-06-01T02:00:00+00:00"


@pytest.mark.parametrize("question", [schedule.is_open, schedule.next_opening, schedule.next_closing])
def test_a_time_without_a_zone_is_refused(question: object) -> None:
    assert callable(question)
    with pytest.raises(ValueError, match="a time without a zone"):
        question(make_schedule("02:00-05:00"), MONDAY.replace(tzinfo=None))


def test_an_unknown_zone_is_refused_and_never_taken_as_open() -> None:
    with pytest.raises(ValueError, match="is not a time zone known here"):
        schedule.is_open(make_schedule("02:00-05:00", timezone="Mars/Phobos"), MONDAY)


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"]
CHANGES = ["2026-03-29 01:00", "2026-10-25 01:00", "2026-03-08 07:00", "2026-11-01 06:00", "2026-10-03 15:30"]
CHANGES += ["2026-04-04 15:00", "2011-12-30 10:00", "2026-02-15 02:00", "2026-03-22 02:00", "2026-06-01 00:00"]

minutes = st.integers(0, 1439) | st.integers(0, 5).map(lambda hour: hour * 60)
windows = st.builds(
    lambda days, start, length: Window(days=tuple(sorted(days)), start=start, end=(start + length) % 1440),
    st.sets(st.integers(0, 6), min_size=1),
    minutes,
    st.integers(1, 1439) | st.integers(1, 90),
) | st.builds(lambda days: Window(days=tuple(sorted(days)), start=0, end=1440), st.sets(st.integers(0, 6), min_size=1))
schedules = st.builds(Schedule, windows=st.lists(windows, max_size=4).map(tuple), timezone=st.sampled_from(ZONES))
moments = st.builds(
    lambda change, seconds: at(change) + timedelta(seconds=seconds),
    st.sampled_from(CHANGES),
    st.integers(-4 * 3600, 4 * 3600)
    | st.integers(-15 * 86400, 86400)
    | st.integers(-240, 240).map(lambda count: count * 60),
)


def open_by_the_book(times: Schedule, now: datetime) -> bool:
    """By the words of the contract, window by window, for one instant."""
    local = now.astimezone(ZoneInfo(times.timezone))
    today, minute = local.weekday(), local.hour * 60 + local.minute
    for window in times.windows:
        if window.end > window.start:
            if today in window.days and window.start <= minute < window.end:
                return True
        elif (today in window.days and minute >= window.start) or (
            (today - 1) % 7 in window.days and minute < window.end
        ):
            return True
    return not times.windows


def first_minute(times: Schedule, now: datetime, wanted: bool) -> datetime | None:
    """`now`, or the first whole minute after it within 16 days, at which it is as wanted."""
    if open_by_the_book(times, now) is wanted:
        return now
    start = now.replace(second=0)
    walk = (start + count * MINUTE for count in range(1, 16 * 1440))
    return next((minute for minute in walk if open_by_the_book(times, minute) is wanted), None)


@given(windows)
def test_every_window_can_be_written_and_read_again(window: Window) -> None:
    assert schedule.parse(schedule.text(window)) == window


@given(schedules, moments)
@example(make_schedule("Sun 02:00-03:00", timezone="Europe/Berlin"), at("2026-03-22 02:00:01"))
def test_it_opens_and_closes_when_a_walk_by_the_minute_finds_so(times: Schedule, now: datetime) -> None:
    opened = open_by_the_book(times, now)
    assert schedule.is_open(times, now) is opened
    assert schedule.next_opening(times, now) == first_minute(times, now, True)
    assert schedule.next_closing(times, now) == (first_minute(times, now, False) if opened else None)
