"""Histograms and sums of counts."""

from agent.core.figures import EventCounts, Histogram, add_counts


def test_a_value_counts_in_each_bucket_that_it_is_not_above() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    assert histogram.buckets() == [("0.1", 2.0), ("1.0", 3.0), ("+Inf", 4.0)]
    assert histogram.total == 7.65


def test_counts_add_up() -> None:
    one = EventCounts({"idle-ttl": {"removed": 1}}, 2, 3, 4, {"clock": 1}, 0.5, {"retention": 1}, 1)
    two = EventCounts({"idle-ttl": {"failed": 1}, "dangling": {"removed": 5}}, 1, 1, 1, {"overrun": 1}, 0.5, {}, 1)
    assert add_counts(one, two) == EventCounts(
        {"dangling": {"removed": 5}, "idle-ttl": {"failed": 1, "removed": 1}},
        3,
        4,
        5,
        {"clock": 1, "overrun": 1},
        1.0,
        {"retention": 1},
        2,
    )
