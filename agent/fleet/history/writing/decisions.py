"""The rows of decisions. A decision and its outcomes come as separate events, in any order, and share one row."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Update, bindparam, select, update

from agent.core.protocol import payloads
from agent.fleet.collector.batch import DecisionChange, StoredEvent
from agent.fleet.history import times, values
from agent.fleet.history.tables import decisions
from agent.fleet.history.writing import freed, images, regrets, statements
from agent.fleet.history.writing.streams import Stored
from agent.fleet.live import bounds

Key = tuple[int, str]  # host, decision ID
Fields = dict[str, Any]

_Data = payloads.DecisionData | payloads.OutcomeData
_COLUMNS = tuple(column.name for column in decisions.c if column.name != "id")
_EMPTY: Fields = {
    "stream_id": None, "seq": None, "action": "", "reason": "", "mode": "", "held_by": None, "explanation": "",
    "last_used": None, "last_used_by": "", "idle_since": None, "idle_seconds": None, "ttl_seconds": None,
    "estimated": 0, "evidence": "[]", "outcome": None, "outcome_at": None, "measured": None, "error": None,
    "also_removed": "[]", "regret_at": None,
}  # fmt: skip
_ADD = decisions.insert()
_ALL = select(decisions)
_IDS = select(decisions.c.id, decisions.c.host_id, decisions.c.decision_id)
# What follows a decision. To write the other columns, too, would write each index of the table.
_AFTERWARDS = ("outcome", "outcome_at", "measured", "error", "also_removed", "regret_at")
_BEFORE = tuple(name for name in _COLUMNS if name not in _AFTERWARDS)


def _make_update(names: Iterable[str]) -> Update:
    changes: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return update(decisions).where(decisions.c.id == bindparam("row")).values(changes)


_UPDATE = _make_update(_COLUMNS)
_END = _make_update(_AFTERWARDS)


@dataclass(frozen=True, slots=True)
class Written:
    """The decisions that a batch changed; `regretted`: those of them whose image is known to be back."""

    changed: tuple[DecisionChange, ...] = ()
    regretted: tuple[DecisionChange, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """A decision or an outcome among the events."""

    key: Key
    stored: Stored
    event: StoredEvent
    data: _Data
    image: images.Facts

    @classmethod
    def of(cls, stored: Stored, event: StoredEvent, data: _Data) -> "_Found":
        key = (stored.host_id, values.key(data.decision_id))
        return cls(key, stored, event, data, images.Facts.of(data.image))


def write(connection: Connection, events: Iterable[tuple[Stored, StoredEvent]], at: int) -> Written:
    """Write the decisions and outcomes among the events."""
    found = [_Found.of(stored, event, event.data) for stored, event in events if isinstance(event.data, _Data)]
    if not found:
        return Written()
    image_ids = images.write(connection, (item.image for item in found), at)
    before = _load(connection, {item.key for item in found})
    after = {key: dict(row) for key, row in before.items()}
    for item in found:
        _apply(after, item, image_ids[item.image.digest])
    regrets.mark_returned(connection, list(after.values()))
    _save(connection, before, after)
    hosts = {item.stored.host_id: item.event.host for item in found}
    changes = {
        key: DecisionChange(id=row, host=hosts[key[0]], decision_id=key[1])
        for key, row in _ids(connection, before, after).items()
    }
    back = [key for key, row in after.items() if row["regret_at"] is not None and _regret_at(before.get(key)) is None]
    return Written(tuple(changes.values()), tuple(changes[key] for key in back))


def _regret_at(row: Fields | None) -> int | None:
    return row["regret_at"] if row else None


def _load(connection: Connection, keys: Collection[Key]) -> dict[Key, Fields]:
    rows = statements.rows_of_pairs(connection, _ALL, decisions.c.host_id, decisions.c.decision_id, keys)
    return {(row.host_id, row.decision_id): dict(row._mapping) for row in rows}


def _ids(connection: Connection, before: Mapping[Key, Fields], after: Collection[Key]) -> dict[Key, int]:
    """The IDs of the rows, those of new ones as the database has chosen them."""
    new = [key for key in after if key not in before]
    rows = statements.rows_of_pairs(connection, _IDS, decisions.c.host_id, decisions.c.decision_id, new)
    return {key: row["id"] for key, row in before.items()} | {(row.host_id, row.decision_id): row.id for row in rows}


def _apply(rows: dict[Key, Fields], item: _Found, image_id: int) -> None:
    at = times.to_ms(item.event.event.time)
    host, decision = item.key
    new = {"host_id": host, "decision_id": decision, "image_id": image_id, "at": at}
    row = rows.get(item.key)
    if row is None:
        row = rows[item.key] = _EMPTY | new | {"names": values.array(item.data.image.references)}
    if isinstance(item.data, payloads.DecisionData):
        row |= new | _decision(item.stored, item.event, item.data)
    elif row["outcome_at"] is None or at >= row["outcome_at"]:  # a later one counts, whichever came first
        row |= _outcome(at, item.data)


def _decision(stored: Stored, event: StoredEvent, data: payloads.DecisionData) -> Fields:
    return {
        "stream_id": stored.id,
        "seq": event.seq,
        "names": values.array(data.image.references),
        "action": values.text(data.action),
        "reason": values.key(data.reason),
        "mode": data.mode.value,
        "held_by": values.text_or_none(data.held_by),
        "explanation": values.text(data.explanation),
        "last_used": times.to_ms_or_none(data.last_used),
        "last_used_by": values.text(data.last_used_by),
        "idle_since": times.to_ms_or_none(data.idle_since),
        "idle_seconds": values.seconds(data.idle_seconds),
        "ttl_seconds": values.seconds(data.ttl_seconds),
        "estimated": bounds.size(data.estimated_bytes),
        "evidence": values.array(data.evidence),
    }


def _outcome(at: int, data: payloads.OutcomeData) -> Fields:
    return {
        "outcome": data.outcome.value,
        "outcome_at": at,
        "measured": bounds.size_or_none(data.measured_bytes),
        "error": values.text_or_none(data.error),
        "also_removed": values.array(data.also_removed),
    }


def _save(connection: Connection, before: Mapping[Key, Fields], after: Mapping[Key, Fields]) -> None:
    sums = freed.Sums()
    for key, row in after.items():
        sums.replace(key[0], before.get(key), row)
    added = [row for key, row in after.items() if key not in before]
    changed = [(row, before[key]) for key, row in sorted(after.items()) if key in before and row != before[key]]
    ended = [row for row, old in changed if all(row[name] == old[name] for name in _BEFORE)]
    others = [row for row, old in changed if any(row[name] != old[name] for name in _BEFORE)]
    statements.execute_many(connection, _ADD, added)
    statements.execute_many(connection, _END, [_update(row, _AFTERWARDS) for row in ended])
    statements.execute_many(connection, _UPDATE, [_update(row, _COLUMNS) for row in others])
    sums.write(connection)


def _update(row: Fields, names: Iterable[str]) -> Fields:
    return {"row": row["id"]} | {f"new_{name}": row[name] for name in names}
