"""Sums of figures that hosts made up: whatever they are, a sum neither overflows nor fails."""

from sqlalchemy import ColumnElement, Float, case, cast, func

_LARGEST = 9e18  # below what a BIGINT takes; a cursor carries a sum as a whole number


def total(column: ColumnElement[int]) -> ColumnElement[float]:
    """The sum, 0 over no rows. SQLite fails at a sum of whole numbers beyond 64 bits, so it adds real numbers."""
    added = func.coalesce(func.sum(cast(column, Float)), 0.0)
    return case((added > _LARGEST, _LARGEST), else_=added)
