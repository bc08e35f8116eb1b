"""Idle spells, which are counted in buckets: the hours of a bucket are a power of 2, or 0. Pure."""

from collections.abc import Mapping
from datetime import timedelta

HOUR = timedelta(hours=1)


def buckets(largest: int) -> list[int]:
    """All buckets up to this one: 0, 1, 2, 4, ..."""
    found = [0, 1]
    while found[-1] < largest:
        found.append(2 * found[-1])
    return [bucket for bucket in found if bucket <= largest]


def between(spells: Mapping[int, int], shortest: timedelta, longest: timedelta | None = None) -> int:
    """About how many spells were at least `shortest` and shorter than `longest`.

    Of a bucket that lies in it only in part, the same part of its spells counts.
    """
    low, high = shortest / HOUR, longest / HOUR if longest is not None else float("inf")
    return round(sum(count * _part(bucket, low, high) for bucket, count in spells.items()))


def _part(bucket: int, low: float, high: float) -> float:
    """Which part of a bucket lies between two hours, 0 to 1."""
    begin, end = float(bucket), float(max(1, 2 * bucket))
    return max(0.0, min(end, high) - max(begin, low)) / (end - begin)
