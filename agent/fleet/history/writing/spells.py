"""How long images were idle before they were used again: what a TTL should be longer than."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection

from agent.core.images import tags
from agent.fleet.history import times, values
from agent.fleet.history.tables import idle_spells
from agent.fleet.history.writing import statements

Key = tuple[int, str, int]  # day, repository, bucket


class Spells:
    """Counts of spells that ended."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()

    def note(self, before: Mapping[str, Any], after: Mapping[str, Any], reference: str) -> None:
        """An image changed from one row to another: if it was used again, a spell ended."""
        # while a container runs, an image is not idle: its inventory has no idle_since then
        begin, end = before["idle_since"], after["last_used"]
        if begin is None or end is None or end <= begin:
            return
        repository = values.key(tags.parse(reference).repository) if reference else ""
        self._counts[times.day_of(end), repository, bucket(end - begin)] += 1

    def write(self, connection: Connection) -> None:
        rows = [
            {"day": day, "repository": repository, "bucket": hours, "n": count}
            for (day, repository, hours), count in sorted(self._counts.items())
        ]
        statements.execute_many(connection, _add(connection.dialect.name), rows)


@cache
def _add(dialect: str) -> statements.Insert:
    statement = statements.insert(dialect, idle_spells)
    total = idle_spells.c.n + statement.excluded.n
    return statement.on_conflict_do_update(index_elements=["day", "repository", "bucket"], set_={"n": total})


def bucket(length: int) -> int:
    """The power of 2 at or below a length in hours; 0 below an hour."""
    hours = length // times.HOUR
    return 1 << (hours.bit_length() - 1) if hours else 0
