"""The rows of streams and of their missing ranges."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select, update

from agent.fleet.collector.batch import Range, Source, StreamState
from agent.fleet.history.tables import hosts, missing, streams
from agent.fleet.history.writing import statements

# in one order, so that two collectors do not wait for each other
_LOCKED = select(streams).order_by(streams.c.id).with_for_update(of=streams)
_UPDATE = (
    update(streams)
    .where(streams.c.id == bindparam("stream"))
    .values(contiguous=bindparam("watermark"), highest=bindparam("top"), last_at=bindparam("now"))
)
_FILLED = delete(missing).where(missing.c.stream_id == bindparam("stream"), missing.c.lo == bindparam("first"))


@dataclass(frozen=True, slots=True)
class Stored:
    """A stream as it is on disk. `since`: when each of its missing ranges was found, by the begin of the range."""

    id: int
    host_id: int
    state: StreamState
    since: Mapping[int, int]


def lock(
    connection: Connection, sources: Iterable[Source], host_ids: Mapping[str, int], at: int
) -> dict[Source, Stored]:
    """The streams on disk, created where they are not there. On PostgreSQL another collector waits for them.

    This is the truth about which events are stored. What a collector remembers may be older: after a commit of which it
    never learned, or beside another collector.
    """
    wanted = {(host_ids[host], epoch): (host, epoch) for host, epoch in sources}
    fresh = [{"host_id": host, "epoch": epoch, "first_at": at, "last_at": at} for host, epoch in sorted(wanted)]
    found = _lock_known(connection, wanted)
    if len(found) < len(wanted):
        statements.add_if_new(connection, streams, fresh)
        found = _lock_known(connection, wanted)
    return found


def save(connection: Connection, changed: Iterable[tuple[Stored, StreamState]], at: int) -> None:
    """Write what changed of streams: few rows, however many ranges are missing."""
    updates, filled, opened = [], [], []
    for stored, state in changed:
        if state == stored.state:
            continue
        updates.append({"stream": stored.id, "watermark": state.contiguous, "top": state.highest, "now": at})
        before, after = dict(stored.state.missing), dict(state.missing)
        filled += [{"stream": stored.id, "first": lo} for lo in before if lo not in after]
        since = _begins(stored, state.missing, at) if after else {}
        opened += [
            {"stream_id": stored.id, "lo": lo, "hi": hi, "since": since[lo]}
            for lo, hi in state.missing
            if before.get(lo) != hi
        ]
    statements.execute_many(connection, _UPDATE, updates)
    statements.execute_many(connection, _FILLED, filled)
    statements.upsert(connection, missing, opened)


def load(connection: Connection) -> dict[Source, StreamState]:
    """All streams."""
    holes = defaultdict[int, list[Range]](list)
    for row in connection.execute(select(missing).order_by(missing.c.stream_id, missing.c.lo)):
        holes[row.stream_id].append((row.lo, row.hi))
    query = select(streams, hosts.c.name).join(hosts, hosts.c.id == streams.c.host_id)
    return {
        (row.name, row.epoch): StreamState(row.contiguous, tuple(holes.get(row.id, ())), row.highest)
        for row in connection.execute(query)
    }


def _lock_known(connection: Connection, wanted: Mapping[tuple[int, str], Source]) -> dict[Source, Stored]:
    rows = statements.rows_of_pairs(connection, _LOCKED, streams.c.host_id, streams.c.epoch, wanted)
    ranges, since = defaultdict[int, list[Range]](list), defaultdict[int, dict[int, int]](dict)
    for row in statements.rows_where(connection, list(missing.c), missing.c.stream_id, [row.id for row in rows]):
        ranges[row.stream_id].append((row.lo, row.hi))
        since[row.stream_id][row.lo] = row.since
    return {
        wanted[row.host_id, row.epoch]: Stored(
            row.id,
            row.host_id,
            StreamState(row.contiguous, tuple(sorted(ranges.get(row.id, ()))), row.highest),
            since.get(row.id, {}),
        )
        for row in rows
    }


def _begins(stored: Stored, ranges: Iterable[Range], at: int) -> dict[int, int]:
    """When each range was found: a part of a known one is as old as that."""
    known: Iterator[Range] = iter(stored.state.missing)
    old = next(known, None)
    begins: dict[int, int] = {}
    for lo, _ in ranges:
        while old is not None and old[1] < lo:
            old = next(known, None)
        begins[lo] = stored.since.get(old[0], at) if old is not None and old[0] <= lo else at
    return begins
