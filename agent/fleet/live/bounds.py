"""Bounds on what a host may report: whoever may publish as a host can make up any number and any text."""

from agent.core import text

LARGEST_BYTES = 10**15  # of one value: a sum of thousands of them still fits into 64 bits
LARGEST_COUNT = 2**31 - 1
LONGEST_WORD = 64  # characters of a version or an outcome
LONGEST_MESSAGE = 2000  # characters of an alert


def size(value: int) -> int:
    """A number of bytes that floating-point numbers can show and sums can hold."""
    return min(max(value, -LARGEST_BYTES), LARGEST_BYTES)


def size_or_none(value: int | None) -> int | None:
    return None if value is None else size(value)


def count(value: int) -> int:
    return min(max(value, 0), LARGEST_COUNT)


def freed(value: int) -> int:
    """Bytes that were freed: never less than none, or a counter would go down."""
    return min(max(value, 0), LARGEST_BYTES)


def word(value: str) -> str:
    return text.shortened(value, LONGEST_WORD)
