"""Which watermark is published when."""

import pytest

from agent.fleet.collector.batch import Source, StreamState
from agent.fleet.collector.watermarks import PER_SECOND, WINDOW, Watermarks

A: Source = ("gpu-01", "e1")
A2: Source = ("gpu-01", "e2")
B: Source = ("gpu-02", "e1")
HOLE = StreamState(4, missing=((5, 6),), highest=9)


def upto(seq: int) -> StreamState:
    return StreamState(seq, highest=seq)


def published(marks: Watermarks, until: float, begin: float = 0.0) -> list[tuple[float, Source, int]]:
    """All that is published up to a time, at the times at which something is due."""
    found, now = [], begin
    while now <= until:
        found += [(round(now, 3), source, seq) for source, seq in marks.due(now)]
        at = marks.next_at()
        if at is None:
            break
        now = max(now, at)
    return found


def test_a_committed_stream_is_published_at_once_and_then_no_more() -> None:
    marks = Watermarks()
    marks.update({A: upto(3), B: upto(0)}, now=10.0)
    assert published(marks, 100.0, begin=10.0) == [(10.0, A, 3), (10.0, B, 0)]


def test_a_host_gets_one_watermark_a_second_and_then_the_latest() -> None:
    marks = Watermarks()
    for number in range(1, 6):
        now = number / 10
        marks.update({A: upto(number)}, now)
        assert marks.due(now) == ([(A, 1)] if number == 1 else [])
    assert published(marks, 10.0, begin=0.5) == [(1.1, A, 5)]


def test_the_streams_of_one_host_share_its_second() -> None:
    marks = Watermarks()
    marks.update({A: upto(1), A2: upto(2)}, now=0.0)
    assert published(marks, 10.0) == [(0.0, A, 1), (1.0, A2, 2)]


def test_a_stream_that_brought_only_duplicates_is_published_again() -> None:
    marks = Watermarks()
    marks.update({A: upto(3)}, now=0.0)
    assert marks.due(0.0) == [(A, 3)]
    marks.update({A: upto(3)}, now=5.0)
    assert marks.due(5.0) == [(A, 3)]


def test_no_more_are_published_at_a_time_and_in_a_second_than_the_broker_should_bear() -> None:
    marks = Watermarks()
    marks.update({(f"gpu-{number}", "e"): upto(1) for number in range(2000)}, now=0.0)
    times = [at for at, _, _ in published(marks, 100.0)]
    assert len(times) == 2000
    assert times.count(0.0) == WINDOW
    assert max(times) == pytest.approx((2000 - WINDOW) / PER_SECOND, abs=0.1)


def test_after_a_new_connection_all_are_published_again_spread_over_time() -> None:
    marks = Watermarks()
    sources = {(f"gpu-{number}", "e"): upto(number) for number in range(1000)}
    marks.load(sources, now=0.0)
    assert marks.due(0.0) == []
    marks.repeat(now=0.0)
    found = published(marks, 100.0)
    assert {source: seq for _, source, seq in found} == {source: state.contiguous for source, state in sources.items()}
    assert found[-1][0] == pytest.approx(1000 / PER_SECOND, abs=0.1)


def test_what_the_broker_retains_of_a_host_is_the_watermark_of_its_present_stream() -> None:
    marks = Watermarks()
    former = {("gpu-01", f"old-{number}"): upto(1) for number in range(5)}
    marks.load({A2: upto(7), **former, A: upto(3)}, now=0.0)
    marks.update({A2: upto(8)}, now=0.0)
    marks.due(0.0)
    marks.repeat(now=10.0)
    assert [(source, seq) for _, source, seq in published(marks, 100.0, begin=10.0)] == [(A, 3), (A2, 8)]


def test_missing_events_are_asked_for_after_10_s_and_then_after_longer_and_longer_pauses_up_to_10_min() -> None:
    marks = Watermarks()
    marks.update({A: HOLE}, now=0.0)
    times = [at for at, source, seq in published(marks, 3000.0) if (source, seq) == (A, 4)]
    assert times == [0.0, 10.0, 30.0, 70.0, 150.0, 310.0, 630.0, 1230.0, 1830.0, 2430.0]


def test_a_commit_that_does_not_fill_the_hole_does_not_put_off_asking_for_it() -> None:
    marks = Watermarks()
    for now in (0.0, 3.0, 6.0, 9.0):
        marks.update({A: HOLE}, now)
        assert marks.due(now) == [(A, 4)]
    assert [at for at, _, _ in published(marks, 35.0, begin=9.0)] == [10.0, 30.0]


def test_a_hole_that_moved_is_asked_for_anew_and_a_filled_one_no_more() -> None:
    marks = Watermarks()
    marks.update({A: HOLE}, now=0.0)
    published(marks, 200.0)
    marks.update({A: StreamState(5, missing=((6, 6),), highest=9)}, now=200.0)
    assert [at for at, _, _ in published(marks, 225.0, begin=200.0)] == [200.0, 210.0]
    marks.update({A: upto(9)}, now=225.0)
    assert published(marks, 5000.0, begin=225.0) == [(225.0, A, 9)]


def test_a_hole_that_the_last_run_left_is_asked_for() -> None:
    marks = Watermarks()
    marks.load({A: HOLE}, now=0.0)
    assert published(marks, 25.0) == [(10.0, A, 4)]


def test_published_streams_leave_nothing_behind() -> None:
    marks = Watermarks()
    for now in range(1000):
        marks.update({A: upto(now)}, float(now))
        marks.due(float(now))
    assert marks.next_at() is None
