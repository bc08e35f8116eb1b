"""The rows of hosts: state, agent, policy, and when each was last seen."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from sqlalchemy import BigInteger, Connection, Text, bindparam, case, null, or_, select, text, update

from agent.core.protocol import payloads
from agent.fleet.collector.batch import AlertChange, Change, InfoChange, InventoryChange, Seen, StatusChange
from agent.fleet.history import policy, times, values
from agent.fleet.history.tables import hosts, policies
from agent.fleet.history.writing import statements

_ROW = hosts.c.id == bindparam("row")
_NEW_STATE = bindparam("new_state", type_=Text)
_NOW = bindparam("now", type_=BigInteger)
_LATER = bindparam("seen", type_=BigInteger)
_IDS = select(hosts.c.id, hosts.c.name, hosts.c.forgotten_at)
_STATE = (
    update(hosts)
    .where(_ROW)
    .values(state=_NEW_STATE, state_since=case((hosts.c.state == _NEW_STATE, hosts.c.state_since), else_=_NOW))
)
_SEEN = update(hosts).where(_ROW, or_(hosts.c.last_seen.is_(None), hosts.c.last_seen < _LATER)).values(last_seen=_LATER)
_KNOWN = update(hosts).where(_ROW).values(forgotten_at=null())
_FORGET = (
    update(hosts)
    .where(_ROW, text("state = 'unknown' AND version IS NULL AND inventory_digest IS NULL"))
    .values(forgotten_at=_NOW)
)
_INFO_COLUMNS = ("agent_id", "version", "mode", "engine", "policy_digest", "started")
_INFO = update(hosts).where(_ROW).values({name: bindparam(f"new_{name}") for name in _INFO_COLUMNS})


def ids(connection: Connection, names: Iterable[str], known: Mapping[str, int], at: int) -> dict[str, int]:
    """The IDs of these hosts' rows, which are created where they are not there. `known`: IDs from earlier commits.

    A host that was forgotten and is in a message again is no longer forgotten. `known` must not have one that was.
    """
    wanted = set(names)
    found = {name: known[name] for name in wanted if name in known}
    new = sorted(wanted - found.keys())
    statements.add_if_new(connection, hosts, [{"name": name, "first_seen": at} for name in new])
    rows = statements.rows_where(connection, _IDS, hosts.c.name, new)
    returned = []
    for row in rows:
        found[row.name] = row.id
        if row.forgotten_at is not None:
            returned.append({"row": row.id})
    statements.execute_many(connection, _KNOWN, returned)
    return found


def write(connection: Connection, changes: Iterable[Change], host_ids: Mapping[str, int]) -> None:
    """Write the last state and the last info of each host, and when it was last seen."""
    states: dict[int, dict[str, Any]] = {}
    infos: dict[int, payloads.Info | None] = {}
    seen: dict[int, int] = {}
    for change in changes:
        row = host_ids[change.host]
        at = times.to_ms(change.at)
        if isinstance(change, StatusChange):
            state = change.status.state if change.status else "unknown"
            since = _own_time(change) if change.retain else None
            states[row] = {"row": row, "new_state": state, "now": at if since is None else since}
        elif isinstance(change, InfoChange):
            infos[row] = change.info
        if (alive := _alive(change)) is not None:
            seen[row] = max(alive, seen.get(row, 0))
    statements.execute_many(connection, _STATE, _sorted(states))
    _write_infos(connection, infos)
    statements.execute_many(connection, _SEEN, [{"row": row, "seen": seen[row]} for row in sorted(seen)])


def forget(connection: Connection, changes: Iterable[Change], host_ids: Mapping[str, int]) -> frozenset[str]:
    """Mark hosts whose topics are all cleared. Call it when everything else of the batch is written.

    Returns the hosts that may be forgotten now.
    """
    cleared = {change.host: times.to_ms(change.at) for change in changes if _clears(change)}
    rows = [{"row": host_ids[host], "now": cleared[host]} for host in sorted(cleared)]
    statements.execute_many(connection, _FORGET, rows)
    return frozenset(cleared)


def _write_infos(connection: Connection, infos: Mapping[int, payloads.Info | None]) -> None:
    rows = [_info(row, infos[row]) for row in sorted(infos)]
    found = {row["new_policy_digest"]: row.pop("document") for row in rows}
    known = sorted((digest, text) for digest, text in found.items() if digest is not None)
    documents = [{"digest": digest, "document": text, "ttl": policy.ttl(text)} for digest, text in known]
    statements.add_if_new(connection, policies, documents)
    statements.execute_many(connection, _INFO, rows)


def _info(row: int, info: payloads.Info | None) -> dict[str, Any]:
    if info is None:
        return {"row": row, "document": None} | {f"new_{name}": None for name in _INFO_COLUMNS}
    document = values.document(info.policy)
    return {
        "row": row,
        "document": document,
        "new_agent_id": values.text(info.agent_id),
        "new_version": values.text(info.version),
        "new_mode": info.mode.value,
        "new_engine": values.document(info.engine),
        "new_started": times.to_ms(info.started),
        "new_policy_digest": blake2b(document.encode(), digest_size=16).hexdigest(),
    }


def _clears(change: Change) -> bool:
    match change:
        case StatusChange(status=None) | InfoChange(info=None) | InventoryChange(summary=None):
            return True
        case _:
            return False


def _alive(change: Change) -> int | None:
    """When the host was alive, as far as this message shows it."""
    own = _own_time(change)
    at = times.to_ms(change.at)
    match change:
        case Seen():
            return at
        case AlertChange():
            return None
        case StatusChange(status=payloads.Status(state="offline")):
            return own  # the will was written when the connection began
        case _:
            return own if change.retain else at if own is not None else None


def _own_time(change: Change) -> int | None:
    """The time in the payload, which no clock of a host puts after the message's arrival."""
    match change:
        case StatusChange(status=content) | InfoChange(info=content) | InventoryChange(summary=content):
            made = content.at if content is not None else None
            return min(times.to_ms(made), times.to_ms(change.at)) if made is not None else None
        case _:
            return None


def _sorted(rows: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order of their IDs, so that two collectors never wait for each other."""
    return [rows[row] for row in sorted(rows)]
