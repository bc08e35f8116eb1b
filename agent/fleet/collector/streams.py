"""Which numbers of a stream of events have arrived. Pure interval arithmetic on `StreamState`.

A number is taken once. One that would open more missing ranges than there is room for is not taken: its sender sends it
again, as the watermark stays below it. So whatever a host sends, the state stays small, and nothing is lost. The number
after the watermark never opens a range, so a host that sends everything again in order always gets to the end.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Literal

from agent.fleet.collector.batch import Range, StreamState

MAX_RANGES = 1000  # missing ranges of all streams of one host together
LARGEST = 2**63 - 1  # a larger number fits into no database

Taken = Literal["new", "duplicate", "no-room"]


def take(state: StreamState, seq: int, room: int = MAX_RANGES) -> tuple[StreamState, Taken]:
    """Take one number. `room`: how many ranges the state may have more than now; an unchanged state otherwise."""
    if has(state, seq):
        return state, "duplicate"
    taken = _without(state, seq, seq)
    if len(taken.missing) > len(state.missing) + max(room, 0):
        return state, "no-room"
    return taken, "new"


def take_ranges(
    state: StreamState, ranges: Iterable[Range], room: int = MAX_RANGES
) -> tuple[StreamState, tuple[Range, ...]]:
    """Take numbers that will never be sent, as far as there is room. Returns the ranges that were taken, too.

    Each of them is true by itself, so those that fit are taken where the rest does not: they are next to the watermark,
    and let it rise, so that the others fit when they are sent again.
    """
    most = len(state.missing) + max(room, 0)
    accepted: list[Range] = []
    for first, last in sorted(valid(ranges)):
        taken = _without(state, first, last)
        if len(taken.missing) <= most:
            state = taken
            accepted.append((first, last))
    return state, tuple(accepted)


def valid(ranges: Iterable[Range], below: int = LARGEST + 1) -> tuple[Range, ...]:
    """Those of the ranges that are ranges of numbers of events, all below one number."""
    return tuple((first, last) for first, last in ranges if 1 <= first <= last < below)


def has(state: StreamState, seq: int) -> bool:
    """Whether a number has arrived."""
    return seq <= state.contiguous or (seq <= state.highest and not _is_missing(state, seq))


def _is_missing(state: StreamState, seq: int) -> bool:
    index = bisect_right(state.missing, (seq, LARGEST)) - 1  # of the last range that begins at or before it
    return index >= 0 and seq <= state.missing[index][1]


def _without(state: StreamState, first: int, last: int) -> StreamState:
    """The state after these numbers have arrived, or some of them again."""
    missing = state.missing
    if first > state.highest + 1:
        missing = (*missing, (state.highest + 1, first - 1))
    begin = bisect_right(missing, (first, 0))
    if begin and missing[begin - 1][1] >= first:
        begin -= 1
    end = bisect_right(missing, (last, LARGEST))
    rest = [part for lo, hi in missing[begin:end] for part in ((lo, first - 1), (last + 1, hi)) if part[0] <= part[1]]
    missing = (*missing[:begin], *rest, *missing[end:])
    highest = max(state.highest, last)
    return StreamState(missing[0][0] - 1 if missing else highest, missing, highest)
