"""Figures of the fleet, and columns for charts."""

from datetime import timedelta

import pytest

from agent.fleet.history import tables, times
from agent.fleet.history.queries import freed, idle, overview, series
from agent.fleet.history.reading import read
from agent.fleet.web import documents
from tests.support.builders import GB
from tests.support.table_history import TableHistory
from tests.support.times import DAY, HOUR, START

TODAY = times.day_of(times.to_ms(START))
HOURS = {0: 1, 1: 2, 4: 8, 8: 16}  # spells by bucket


async def add_day(history: TableHistory, ago: int, reason: str = "idle-ttl", host: str = "gpu-07", **sums: int) -> None:
    day = TODAY - ago * times.DAY
    await history.add(tables.freed_days, day=day, host_id=await history.host(host), reason=reason, **sums)


async def test_what_was_reclaimed_is_the_sum_over_thirty_days_with_build_cache_as_bytes_only(
    history: TableHistory,
) -> None:
    await add_day(history, 0, evicted=2, measured=9 * GB, estimated=4 * GB, regrets=1)
    await add_day(history, 29, host="gpu-08", evicted=1, would=5, measured=1 * GB)
    await add_day(history, 30, evicted=70, measured=70 * GB)
    await add_day(history, 1, freed.BUILD_CACHE, evicted=3, measured=2 * GB)
    figures = await read(history, lambda connection: overview.figures(connection, [], START))
    assert figures.reclaimed == documents.Reclaimed(
        measured_bytes=12 * GB, estimated_bytes=4 * GB, evicted=3, would_evict=5, regrets=1
    )


async def test_the_overview_counts_what_is_missing_and_what_was_given_up(history: TableHistory) -> None:
    host = await history.host()
    stream = await history.add(tables.streams, host_id=host, epoch="e", contiguous=4, first_at=START, last_at=START)
    for lo, hi in ((6, 9), (12, 12)):
        await history.add(tables.missing, stream_id=stream, lo=lo, hi=hi, since=START)
    event = {"stream_id": stream, "seq": 1, "host_id": host, "at": START}
    await history.add(tables.dropped, first_seq=2, last_seq=9, count=3, reason="retention", **event)
    await history.decision("d1")
    await history.host_image(reason="in-use", estimated=GB)
    figures = await read(history, lambda connection: overview.figures(connection, ["gpu-07", "gpu-08"], START))
    assert (figures.missing_events, figures.dropped_events) == (5, 3)
    assert [decision.decision_id for decision in figures.decisions] == ["d1"]
    assert {host: [held.reason for held in some] for host, some in figures.held.items()} == {
        "gpu-07": ["in-use"],
        "gpu-08": [],
    }


async def test_what_each_host_freed_in_a_day_is_measured_or_else_estimated(history: TableHistory) -> None:
    ended = START - HOUR
    await history.decision("measured", outcome="removed", outcome_at=ended, measured=GB, at=ended)
    await history.decision("estimated", outcome="removed", outcome_at=ended, estimated=2 * GB, at=ended)
    await history.decision("refused", outcome="refused", outcome_at=ended, measured=GB, at=ended)
    await history.decision("before", outcome="removed", outcome_at=START - DAY, measured=GB, at=START - DAY)
    await history.decision("other", host="gpu-08", outcome="removed", outcome_at=ended, measured=GB, at=ended)
    found = await read(history, lambda connection: freed.by_host(connection, START, DAY))
    assert found == {"gpu-07": 3 * GB, "gpu-08": GB}


async def test_the_disk_of_a_host_is_a_point_for_each_hour_and_beyond_two_weeks_for_each_day(
    history: TableHistory,
) -> None:
    host = await history.host()
    hour = times.hour_of(times.to_ms(START))
    for ago, used in ((0, 70), (1, None), (400, 5)):
        await history.add(
            tables.disk_hours, host_id=host, hour=hour - ago * times.HOUR, used_last=used, used_max=used, total=100
        )
    await history.add(tables.disk_days, host_id=host, day=TODAY - 20 * times.DAY, used_last=60, used_max=65, total=100)
    hourly = await read(history, lambda connection: series.disk(connection, "gpu-07", START - 2 * HOUR, START))
    daily = await read(history, lambda connection: series.disk(connection, "gpu-07", START - 30 * DAY, START))
    assert hourly == documents.Series(
        at=[hour / 1000 - 3600, hour / 1000],
        series={"used": [None, 70], "used_max": [None, 70], "total": [100, 100], "reclaimable": [None, None]},
    )
    assert daily == documents.Series(
        at=[TODAY / 1000 - 20 * 86400],
        series={"used": [60], "used_max": [65], "total": [100], "reclaimable": [None]},
    )


async def test_what_was_reclaimed_has_a_point_for_each_day_zeros_included(history: TableHistory) -> None:
    await add_day(history, 0, measured=3)
    await add_day(history, 0, "disk-pressure", measured=4, estimated=1)
    await add_day(history, 2, host="gpu-08", estimated=5)
    since = START - 2 * DAY
    whole = await read(history, lambda connection: series.reclaimed(connection, None, since, START))
    one = await read(history, lambda connection: series.reclaimed(connection, "gpu-08", since, START))
    days = [TODAY / 1000 - ago * 86400 for ago in (2, 1, 0)]
    assert whole == documents.Series(at=days, series={"measured": [0, 0, 7], "estimated": [5, 0, 1]})
    assert one == documents.Series(at=days, series={"measured": [0, 0, 0], "estimated": [5, 0, 0]})


async def test_idle_times_have_a_bar_for_each_power_of_two_hours(history: TableHistory) -> None:
    for repository in ("a", "b"):
        await history.add(tables.idle_spells, day=TODAY, repository=repository, bucket=4, n=3)
    await history.add(tables.idle_spells, day=TODAY - 90 * times.DAY, repository="a", bucket=1, n=1)
    found = await read(history, lambda connection: series.idle_times(connection, START - 30 * DAY))
    assert found == documents.Series(at=[0, 1, 2, 4], series={"spells": [0, 0, 0, 6]})


@pytest.mark.parametrize(
    ("shortest", "longest", "number"),
    [(0, None, 27), (1, None, 26), (1, 2, 2), (4, 8, 8), (6, 12, 4 + 8), (16, None, 0), (0, 0.5, 0), (8, 4, 0)],
)
def test_spells_between_two_lengths_count_in_part_where_their_bucket_lies_in_part(
    shortest: float, longest: float | None, number: int
) -> None:
    end = None if longest is None else timedelta(hours=longest)
    assert idle.between(HOURS, timedelta(hours=shortest), end) == number
