"""Loads the hosts as the database knows them: what a monitor shows when it starts."""

import json
from typing import Any

from sqlalchemy import Connection, Float, case, cast, func, select

from agent.core.policy.decision import Outcome
from agent.fleet.history import times
from agent.fleet.history.tables import alerts, decisions, freed_days, hosts, policies
from agent.fleet.live import build_row
from agent.fleet.live.row import HostRow

REGRETS_FOR = 30 * times.DAY
FREED_FOR = times.DAY


def load_rows(connection: Connection) -> list[HostRow]:
    """All hosts that are not forgotten, sorted by name, as of the last sign of life of any."""
    now = connection.execute(select(func.max(hosts.c.last_seen))).scalar() or 0
    found = _found(connection, now)
    query = select(hosts, policies.c.document).outerjoin(policies, policies.c.digest == hosts.c.policy_digest)
    rows = connection.execute(query.where(hosts.c.forgotten_at.is_(None)).order_by(hosts.c.name))
    return [_row(row, found.get(row.id, {})) for row in rows]


def _row(row: Any, found: dict[str, Any]) -> HostRow:
    return HostRow(
        host=row.name,
        mode=row.mode,
        version=row.version,
        last_seen=row.last_seen,
        images=row.images,
        images_left_out=row.images_left_out or 0,
        disk_used_bytes=row.disk_used,
        disk_total_bytes=row.disk_total,
        high=build_row.high_in(json.loads(row.document) if row.document else {}),
        reclaimable_bytes=row.reclaimable,
        next_eviction=build_row.next_eviction_in(row.mode, row.next_eviction),
        **found,
    )


def _found(connection: Connection, now: int) -> dict[int, dict[str, Any]]:
    """By host, the fields that other tables know."""
    found: dict[int, dict[str, Any]] = {}
    for query in (_standing(), _last_decisions(), _freed(now), _regrets(now)):
        for row in connection.execute(query):
            values = {name: int(value) if isinstance(value, float) else value for name, value in row._mapping.items()}
            found.setdefault(values.pop("host_id"), {}).update(values)
    return found


def _standing() -> Any:
    def count(severity: str) -> Any:
        return func.sum(case((alerts.c.severity == severity, 1), else_=0))

    columns = (count("warning").label("warnings"), count("critical").label("criticals"))
    return select(alerts.c.host_id, *columns).where(alerts.c.until.is_(None)).group_by(alerts.c.host_id)


def _last_decisions() -> Any:
    every = decisions.alias()
    latest = select(every.c.id).where(every.c.host_id == hosts.c.id).order_by(every.c.at.desc()).limit(1)
    columns = (decisions.c.at.label("last_decision_at"), decisions.c.outcome.label("last_outcome"))
    return (
        select(decisions.c.host_id, *columns)
        .select_from(hosts)
        .join(decisions, decisions.c.id == latest.scalar_subquery())
    )


def _freed(now: int) -> Any:
    # a sum of whole numbers overflows on SQLite if a host makes up large ones, and is a decimal number on PostgreSQL
    freed = func.sum(cast(func.coalesce(decisions.c.measured, decisions.c.estimated), Float))
    return (
        select(decisions.c.host_id, freed.label("freed_24h_bytes"))
        .where(decisions.c.outcome == Outcome.REMOVED.value, decisions.c.at > now - FREED_FOR)
        .group_by(decisions.c.host_id)
    )


def _regrets(now: int) -> Any:
    return (
        select(freed_days.c.host_id, func.sum(freed_days.c.regrets).label("regrets_30d"))
        .where(freed_days.c.day > now - REGRETS_FOR)
        .group_by(freed_days.c.host_id)
    )
