"""Statements for both databases, and executing them with many rows."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import CTE, BigInteger, Column, Connection, Dialect, Row, Select, Table, Text, column, select, text
from sqlalchemy import Insert as PlainInsert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable

T = TypeVar("T")

IN_ONE_LIST = 1000  # values of one IN: SQLite accepts 32,766 variables, PostgreSQL 32,767

Values = Mapping[str, Any]
Pair = tuple[int, int | str]
Insert = sqlite.Insert | postgresql.Insert


def insert(dialect: str, table: Table) -> Insert:
    """INSERT in the dialect of a database, as only the dialects know ON CONFLICT."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def execute_many(connection: Connection, statement: Executable, rows: Sequence[Values]) -> None:
    """Execute the statement once for each row; not at all without one. All rows have all its parameters.

    The driver gets its rows at once: SQLAlchemy takes three times as long to look at each parameter of each row. The
    compiled statement is kept for ever, so it must be one that is made once.
    """
    if rows:
        sql, values = _compiled(_Dialect(connection.dialect.name, connection.dialect), statement, tuple(rows[0]))
        connection.exec_driver_sql(sql, [values(row) for row in rows])


@dataclass(frozen=True)
class _Dialect:
    """A dialect that is the same key as any other of its name."""

    name: str
    found: Dialect = field(compare=False)


@cache
def _compiled(
    dialect: _Dialect, statement: Executable, columns: tuple[str, ...]
) -> tuple[str, Callable[[Values], Sequence[Any]]]:
    """The text of the statement, and what takes its parameters from a row in their order."""
    if isinstance(statement, PlainInsert):
        statement = statement.inline()  # without RETURNING
    compiled = statement.compile(dialect=dialect.found, column_keys=columns)  # type: ignore[attr-defined]
    names = compiled.positiontup
    return str(compiled), itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)


def add_if_new(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert rows, except those that are there."""
    execute_many(connection, _add_if_new(connection.dialect.name, table), rows)


def upsert(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert rows, or replace all columns that the rows have. All rows have the same columns."""
    if rows:
        execute_many(connection, _upsert(connection.dialect.name, table, tuple(rows[0])), rows)


@cache
def _add_if_new(dialect: str, table: Table) -> Insert:
    return insert(dialect, table).on_conflict_do_nothing()


@cache
def _upsert(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    statement = insert(dialect, table)
    keys = {key.name for key in table.primary_key}
    others = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=others)


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
    is made of one parameter is joined by the index, and its statement is always the same. It is kept for ever, so the
    query must be one that is made once.
    """
    if not pairs:
        return []
    statement = _joined(connection.dialect.name, query, first, second)
    if connection.dialect.name == "sqlite":
        return connection.execute(statement, {"pairs": json.dumps(list(pairs))}).all()
    firsts, seconds = zip(*pairs, strict=True)
    return connection.execute(statement, {"firsts": list(firsts), "seconds": list(seconds)}).all()


@cache
def _joined(dialect: str, query: Select[Any], first: Column[Any], second: Column[Any]) -> Select[Any]:
    wanted = _wanted(dialect, isinstance(second.type, Text))
    return query.join(wanted, (first == wanted.c.first) & (second == wanted.c.second))


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
