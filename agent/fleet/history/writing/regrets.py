"""Evictions that were regretted: the same image came back to the host before its TTL would have passed.

Inventories and events come on different ways, so each may come first. A new build under the same name has another ID,
and is no regret.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, exists, select, update

from agent.core.policy.decision import Outcome
from agent.fleet.collector.batch import DecisionChange
from agent.fleet.history.tables import decisions, host_images, hosts
from agent.fleet.history.writing import freed, statements

SETTLED = 60_000  # milliseconds; an inventory from so soon after a removal may have been made before it

Place = tuple[int, int]  # host, image

_ALL = select(decisions)  # a condition could make SQLite choose another index, and read all removals of the fleet
_PRESENT = select(host_images.c.host_id, host_images.c.image_id, hosts.c.inventory_at).join(
    hosts, hosts.c.id == host_images.c.host_id
)
_DECIDED = select(hosts.c.id).where(exists().where(decisions.c.host_id == hosts.c.id))
_MARK = update(decisions).where(decisions.c.id == bindparam("row")).values(regret_at=bindparam("when"))


def mark_returned(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Set `regret_at` of those of these decisions whose image is back in an inventory that came before the outcome."""
    open_rows = [row for row in rows if _is_open(row)]
    inventories = _present(connection, {(row["host_id"], row["image_id"]) for row in open_rows})
    for row in open_rows:
        at = inventories.get((row["host_id"], row["image_id"]))
        if at is not None and at > row["outcome_at"] + SETTLED and at < _end(row):
            row["regret_at"] = at


def mark(connection: Connection, appeared: Mapping[Place, int], names: Mapping[int, str]) -> list[DecisionChange]:
    """Find the decisions whose images have appeared on their hosts. `appeared`: when. Returns those that changed."""
    found = []
    sums = freed.Sums()
    decided = _with_decisions(connection, {host for host, _ in appeared})
    for row in _of_places(connection, [place for place in appeared if place[0] in decided]):
        after = row | {"regret_at": appeared[row["host_id"], row["image_id"]]}
        if _is_open(row) and row["outcome_at"] <= after["regret_at"] < _end(row):
            sums.replace(row["host_id"], row, after)
            found.append(after)
    statements.execute_many(connection, _MARK, [{"row": row["id"], "when": row["regret_at"]} for row in found])
    sums.write(connection)
    return [DecisionChange(id=row["id"], host=names[row["host_id"]], decision_id=row["decision_id"]) for row in found]


def _is_open(row: Mapping[str, Any]) -> bool:
    """Whether the image is gone, so that it can come back."""
    return row["outcome"] == Outcome.REMOVED and row["regret_at"] is None and row["ttl_seconds"] is not None


def _end(row: Mapping[str, Any]) -> float:
    """Until when its return is a regret: the image would have gone anyway a TTL later."""
    return float(row["at"] + row["ttl_seconds"] * 1000)


def _present(connection: Connection, places: Collection[Place]) -> dict[Place, int]:
    """Which of the images are in the inventories of their hosts, and when those were made."""
    rows = statements.rows_of_pairs(connection, _PRESENT, host_images.c.host_id, host_images.c.image_id, places)
    return {(row.host_id, row.image_id): row.inventory_at for row in rows if row.inventory_at is not None}


def _with_decisions(connection: Connection, host_ids: Collection[int]) -> set[int]:
    """Which of the hosts have any decision: of a new fleet none, and all of its images appear at once."""
    return {row.id for row in statements.rows_where(connection, _DECIDED, hosts.c.id, host_ids)}


def _of_places(connection: Connection, places: Collection[Place]) -> list[dict[str, Any]]:
    rows = statements.rows_of_pairs(connection, _ALL, decisions.c.host_id, decisions.c.image_id, places)
    return [dict(row._mapping) for row in rows]
