"""What was freed on each day, by host and reason. It is added up as decisions change, so no query adds up decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, literal_column, text

from agent.core.policy.decision import Outcome
from agent.fleet.history import times
from agent.fleet.history.tables import freed_days
from agent.fleet.history.writing import statements

_FULL: ColumnElement[int] = literal_column(
    str(2**62)
)  # bytes; a sum stays there, as PostgreSQL refuses one of more than 64 bits

Key = tuple[int, int, str]  # day, host, reason


@dataclass(frozen=True, slots=True)
class Freed:
    """The sums of one key, or what to add to them."""

    evicted: int = 0
    would: int = 0
    estimated: int = 0
    measured: int = 0
    regrets: int = 0

    def plus(self, other: "Freed", sign: int = 1) -> "Freed":
        return Freed(*(getattr(self, name) + sign * getattr(other, name) for name in _NAMES))


_NAMES = tuple(field.name for field in fields(Freed))
NOTHING = Freed()


class Sums:
    """Additions to the sums of many keys."""

    def __init__(self) -> None:
        self._sums: dict[Key, Freed] = {}

    def add(self, key: Key, freed: Freed, sign: int = 1) -> None:
        self._sums[key] = self._sums.get(key, NOTHING).plus(freed, sign)

    def replace(self, host_id: int, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        """A decision changed from one row to another: take away what the first contributed, add what the other does."""
        for row, sign in ((before, -1), (after, 1)):
            for day, freed in contributions(row or {}):
                self.add((day, host_id, row["reason"] if row else ""), freed, sign)

    def write(self, connection: Connection) -> None:
        rows = [
            {"day": day, "host_id": host, "reason": reason} | {name: getattr(freed, name) for name in _NAMES}
            for (day, host, reason), freed in sorted(self._sums.items())
            if freed != NOTHING
        ]
        statements.execute_many(connection, _add(connection.dialect.name), rows)
        moved = [{"of_day": day, "of_host": host} for day, host, reason in self._sums if not reason]
        statements.execute_many(connection, _UNEXPLAINED, moved)


@cache
def _add(dialect: str) -> statements.Insert:
    statement = statements.insert(dialect, freed_days)
    new, old = statement.excluded, freed_days.c
    sums: dict[str, ColumnElement[int]] = {name: old[name] + new[name] for name in _NAMES}
    sums |= {name: case((old[name] > _FULL, old[name]), else_=sums[name]) for name in ("estimated", "measured")}
    return statement.on_conflict_do_update(index_elements=["day", "host_id", "reason"], set_=sums)


# The reason of an outcome without its decision is "" until that arrives; then its sums are 0 again.
_UNEXPLAINED = delete(freed_days).where(
    freed_days.c.day == bindparam("of_day"),
    freed_days.c.host_id == bindparam("of_host"),
    text("reason = '' AND evicted = 0 AND would = 0 AND regrets = 0"),
)


def contributions(row: Mapping[str, Any]) -> list[tuple[int, Freed]]:
    """What one decision's row contributes to which days."""
    found: list[tuple[int, Freed]] = []
    if row.get("outcome") == Outcome.REMOVED:
        measured = row["measured"]
        freed = Freed(evicted=1, measured=measured or 0, estimated=row["estimated"] if measured is None else 0)
        found.append((times.day_of(row["outcome_at"]), freed))
    elif row.get("outcome") == Outcome.WOULD_REMOVE:
        found.append((times.day_of(row["outcome_at"]), Freed(would=1)))
    if row.get("regret_at") is not None:
        found.append((times.day_of(row["regret_at"]), Freed(regrets=1)))
    return found
