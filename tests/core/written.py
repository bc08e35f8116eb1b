"""Every text that the patterns of durations, sizes and shares accept: by the reader that takes it."""

from collections.abc import Callable

from hypothesis import strategies as st

from agent.core import units


def _texts(most: int, *written: str) -> st.SearchStrategy[str]:
    """Numbers of any length, with their units."""
    numbers = st.integers(0, most).map(str) | st.builds(
        lambda one, parts: f"{one}.{parts:06d}", st.integers(0, most), PARTS
    )
    return st.builds(lambda number, space, unit: number + space + unit, numbers, SPACES, st.sampled_from(written))


PARTS = st.integers(0, 999_999)
SPACES = st.sampled_from(["", " ", "\t"])
PREFIXES = ["", *(prefix + i for prefix in "kMGTP" for i in ("", "i"))]

ACCEPTED: dict[Callable[[object], object], st.SearchStrategy[str]] = {
    units.parse_duration: _texts(10**10 - 1, *units._UNITS)
    | _texts(5_000, *units._UNITS)
    | st.from_regex(units._DURATION, fullmatch=True),
    units.parse_size: _texts(10**15 - 1, *(f"{prefix}B" for prefix in PREFIXES))
    | st.from_regex(units._SIZE, fullmatch=True),
    units.parse_percent: _texts(99, "%") | st.from_regex(units._SHARE, fullmatch=True),
}
