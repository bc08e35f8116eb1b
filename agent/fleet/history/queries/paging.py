"""Pages by key: a page begins after the last row of the one before, so that new rows shift nothing."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select, literal, tuple_

from agent.fleet.history.queries.values import LARGEST

S = TypeVar("S", bound=Select[Any])


class BadCursor(ValueError):
    """`after` is not the `next` of a page of this list."""


def write(*keys: int) -> str:
    return ".".join(map(str, keys))


def read(text: str, length: int) -> tuple[int, ...]:
    """The keys of the last row of the page before. Raises BadCursor."""
    parts = text.split(".")
    digits = all(part.removeprefix("-").isascii() and part.removeprefix("-").isdigit() for part in parts)
    if len(parts) != length or not digits or max(map(len, parts)) > 20 or any(abs(int(p)) > LARGEST for p in parts):
        raise BadCursor("is not the `next` of an earlier page of this list")
    return tuple(map(int, parts))


def descending(statement: S, keys: Sequence[ColumnElement[int]], after: str, limit: int) -> S:
    """The statement for one page, largest keys first, and one row more, which shows whether another page follows."""
    if after:
        bounds = (literal(key) for key in read(after, len(keys)))
        statement = statement.where(tuple_(*keys) < tuple_(*bounds))
    return statement.order_by(*(key.desc() for key in keys)).limit(limit + 1)


def cut(rows: Sequence[Row[Any]], limit: int, *names: str) -> tuple[Sequence[Row[Any]], str | None]:
    """The rows of the page, and the cursor of the next one. `names`: the columns of the keys."""
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], write(*(int(getattr(last, name)) for name in names))
