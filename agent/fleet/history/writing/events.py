"""Rows of sweeps, gaps, prunes of build cache and dropped events: one for each event."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table

from agent.core.protocol import payloads
from agent.fleet.collector.batch import StoredEvent
from agent.fleet.history import times, values
from agent.fleet.history.tables import build_cache, dropped, gaps, sweeps
from agent.fleet.history.writing import freed, statements
from agent.fleet.history.writing.streams import Stored
from agent.fleet.live import bounds

_ADD = {table: table.insert() for table in (sweeps, gaps, build_cache, dropped)}
BUILD_CACHE = "build-cache"  # the reason of its bytes among those of evictions


def write(connection: Connection, events: Iterable[tuple[Stored, StoredEvent]]) -> None:
    """Write the events that are no decisions and no outcomes, and add up what prunes freed."""
    rows: dict[Table, list[dict[str, Any]]] = {sweeps: [], gaps: [], build_cache: [], dropped: []}
    sums = freed.Sums()
    for stored, event in events:
        at = times.to_ms(event.event.time)
        common = {"stream_id": stored.id, "seq": event.seq, "host_id": stored.host_id, "at": at}
        match event.data:
            case payloads.SweepData() as data:
                rows[sweeps].append(common | _sweep(data))
            case payloads.GapData() as data:
                rows[gaps].append(common | _gap(data))
            case payloads.BuildCacheData() as data:
                rows[build_cache].append(common | _build_cache(data))
                sums.add((times.day_of(at), stored.host_id, BUILD_CACHE), _freed(data))
            case payloads.DroppedData() as data:
                rows[dropped].append(common | _dropped(data))
            case _:
                pass
    for table, found in rows.items():
        statements.execute_many(connection, _ADD[table], found)
    sums.write(connection)


def _sweep(data: payloads.SweepData) -> dict[str, Any]:
    return {
        "mode": data.mode.value,
        "reasons": values.document(data.reasons),
        "outcomes": values.document(data.outcomes),
        "estimated": bounds.size(data.estimated_bytes),
        "measured": bounds.size_or_none(data.measured_bytes),
    }


def _gap(data: payloads.GapData) -> dict[str, Any]:
    return {
        "since": times.to_ms(data.since),
        "until": times.to_ms(data.until),
        "seconds": values.seconds(data.seconds),
        "cause": values.text(data.cause),
    }


def _build_cache(data: payloads.BuildCacheData) -> dict[str, Any]:
    return {
        "mode": data.mode.value,
        "state": data.state,
        "unused_seconds": values.seconds(data.unused_seconds),
        "records": bounds.count(data.records),
        "estimated": bounds.size(data.estimated_bytes),
        "measured": bounds.size_or_none(data.measured_bytes),
        "error": values.text_or_none(data.error),
    }


def _dropped(data: payloads.DroppedData) -> dict[str, Any]:
    return {
        "first_seq": values.whole(data.first_seq),
        "last_seq": values.whole(data.last_seq),
        "count": values.whole(data.count),
        "reason": values.text(data.reason),
    }


def _freed(data: payloads.BuildCacheData) -> freed.Freed:
    if data.state != "pruned":
        return freed.NOTHING
    if data.measured_bytes is None:
        return freed.Freed(estimated=bounds.size(data.estimated_bytes))
    return freed.Freed(measured=bounds.size(data.measured_bytes))
