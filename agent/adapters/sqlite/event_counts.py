"""Counts the events of the log for the metrics, so that they survive restarts and the deletion of old events.

The counts are stored with the number of the last event that they include. A counter that became smaller when old events
are deleted would look to Prometheus like a restart, and all that is left would count again.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from agent.adapters.sqlite import rows
from agent.adapters.sqlite.event_log import EventLog
from agent.adapters.sqlite.queries import Queries
from agent.core import figures
from agent.core.figures import EventCounts, Freed, Waiting
from agent.core.policy.decision import Outcome
from agent.core.usage import continuity

KEY = "event_counts"  # of the table of single values
FIRST = -1  # below every number and every time


@dataclass(frozen=True, slots=True)
class _Stored:
    """The counts of one epoch up to the event `seq`. `regretted`: numbers of the evictions that count as regrets."""

    epoch: str
    seq: int = 0
    counts: EventCounts = field(default_factory=EventCounts)
    regretted: tuple[int, ...] = ()


_STORED = TypeAdapter(_Stored)


class EventCounter:
    """Synchronous calls on one connection, made by `Worker` in its thread."""

    def __init__(self, db: Queries, log: EventLog) -> None:
        self._db = db
        self._log = log

    def count(self) -> EventCounts:
        """Add the events since the last call to the counts, store them, and return them. One transaction."""
        with self._db.transaction():
            before = self._load()
            counted = self._add(before)
            if counted != before:
                self._db.save_value(KEY, _STORED.dump_json(counted).decode())
        return counted.counts

    def freed(self, since: datetime) -> Freed:
        """What evictions and prunes of the build cache freed since a time."""
        ended = self._db.all("count_outcomes", after=FIRST, since=rows.us(since))
        removed = [row for row in ended if row["outcome"] == Outcome.REMOVED]
        cache = self._db.one("freed_build_cache", after=FIRST, since=rows.us(since))
        total = sum(row["freed"] for row in removed) + (cache["bytes"] if cache is not None else 0)
        return Freed(total, estimated=any(row["unmeasured"] for row in removed))

    def waiting(self) -> Waiting:
        """The rows in the outbox."""
        row = self._db.one("waiting_rows")
        if row is None or row["oldest"] is None:
            return Waiting(0, None)
        return Waiting(row["waiting"], rows.known(row["oldest"]))

    def _load(self) -> _Stored:
        text = self._db.load_value(KEY)
        try:
            stored = _STORED.validate_json(text) if text is not None else None
        except ValidationError:
            stored = None
        if stored is None or stored.epoch != self._log.epoch:  # the state was copied: the numbers start again
            return _Stored(self._log.epoch)
        return stored

    def _add(self, before: _Stored) -> _Stored:
        last, first = self._db.one("last_seq"), self._db.one("first_seq")
        seq = int(last["seq"]) if last is not None else before.seq
        counts = figures.add_counts(before.counts, self._since(before.seq)) if seq > before.seq else before.counts
        found = {row["seq"] for row in self._db.all("regrets")}
        oldest = first["seq"] if first is not None and first["seq"] is not None else seq
        known = {number for number in before.regretted if number >= oldest}
        counts = replace(counts, regrets=counts.regrets + len(found - known))
        return _Stored(before.epoch, seq, counts, tuple(sorted(known | found)))

    def _since(self, after: int) -> EventCounts:
        evictions: dict[str, dict[str, int]] = {}
        ended = self._db.all("count_outcomes", after=after, since=FIRST)
        for row in ended:
            evictions.setdefault(row["reason"], {})[row["outcome"]] = row["evictions"]
        removed = [row for row in ended if row["outcome"] == Outcome.REMOVED]
        gaps: dict[str, int] = {}
        seconds = 0.0
        for row in self._db.all("count_gaps", after=after):
            kind = continuity.kind_of_cause(row["cause"])
            gaps[kind] = gaps.get(kind, 0) + row["gaps"]
            seconds += row["seconds"]
        cache = self._db.one("freed_build_cache", after=after, since=FIRST)
        return EventCounts(
            evictions=evictions,
            measured_bytes=sum(row["measured"] for row in removed),
            estimated_bytes=sum(row["estimated"] for row in removed),
            build_cache_bytes=cache["bytes"] if cache is not None else 0,
            gaps=gaps,
            gap_seconds=seconds,
            dropped={row["reason"]: row["events"] for row in self._db.all("count_dropped", after=after)},
        )
