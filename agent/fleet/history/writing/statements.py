"""Statements for both databases, and executing them with many rows."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import CTE, BigInteger, Column, Connection, Row, Select, Table, Text, column, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable

T = TypeVar("T")

IN_ONE_LIST = 1000  # values of one IN: SQLite accepts 32,766 variables, PostgreSQL 32,767

Values = Mapping[str, Any]
Pair = tuple[int, int | str]
Insert = sqlite.Insert | postgresql.Insert


def insert(connection: Connection, table: Table) -> Insert:
    """INSERT in the dialect of this database, as only the dialects know ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def execute_many(connection: Connection, statement: Executable, rows: Sequence[Values]) -> None:
    """Execute the statement once for each row; not at all without one."""
    if rows:
        connection.execute(statement, rows)


def add_if_new(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert rows, except those that are there."""
    execute_many(connection, insert(connection, table).on_conflict_do_nothing(), rows)


def upsert(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert rows, or replace all columns that the rows have. All rows have the same columns."""
    if rows:
        statement = insert(connection, table)
        keys = {column.name for column in table.primary_key}
        others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=others), rows)


def chunks(values: Iterable[T], size: int = IN_ONE_LIST) -> Iterator[list[T]]:
    """The values in lists that fit into one statement."""
    every = list(values)
    for start in range(0, len(every), size):
        yield every[start : start + size]


def rows_where(
    connection: Connection, columns: Sequence[Column[Any]], key: Column[Any], values: Iterable[Any]
) -> Iterator[Row[Any]]:
    """The rows whose `key` is one of these values."""
    for part in chunks(values):
        yield from connection.execute(select(*columns).where(key.in_(part)))


def rows_of_pairs(
    connection: Connection, query: Select[Any], first: Column[Any], second: Column[Any], pairs: Collection[Pair]
) -> Sequence[Row[Any]]:
    """The rows of the query whose two columns are one of these pairs, which differ.

    SQLite scans the whole table for `(a, b) IN (...)`, and SQLAlchemy takes long to compile a long VALUES. A table that
    is made of one parameter is joined by the index, and its statement is always the same.
    """
    if not pairs:
        return []
    wanted = _wanted(connection.dialect.name, isinstance(second.type, Text))
    statement = query.join(wanted, (first == wanted.c.first) & (second == wanted.c.second))
    if connection.dialect.name == "sqlite":
        return connection.execute(statement, {"pairs": json.dumps(list(pairs))}).all()
    firsts, seconds = zip(*pairs, strict=True)
    return connection.execute(statement, {"firsts": list(firsts), "seconds": list(seconds)}).all()


_SQLITE_PAIRS = (
    "SELECT json_extract(value, '$[0]') AS first, json_extract(value, '$[1]') AS second FROM json_each(:pairs)"
)
_POSTGRES_PAIRS = "SELECT * FROM unnest(CAST(:firsts AS bigint[]), CAST(:seconds AS {})) AS pair (first, second)"


@cache
def _wanted(dialect: str, is_text: bool) -> CTE:
    sql = _SQLITE_PAIRS if dialect == "sqlite" else _POSTGRES_PAIRS.format("text[]" if is_text else "bigint[]")
    return (
        text(sql).columns(column("first", BigInteger), column("second", Text if is_text else BigInteger)).cte("wanted")
    )
