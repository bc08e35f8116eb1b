"""Counts what was received since the monitor started: the counters of /metrics. Labels have few values each."""

import copy
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

from agent.core.policy.decision import Reason
from agent.core.protocol import payloads
from agent.fleet.collector.batch import Batch, Committed, Source, StreamState
from agent.fleet.live import bounds
from agent.fleet.live.host import Decided, freed_bytes

OTHER = "other"  # the label of what a newer agent, or anybody, made up
COMMIT_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds


class Counters:
    """Sums since the start. `streams`: what had arrived before it, as stored."""

    def __init__(self, streams: Mapping[Source, StreamState] | None = None) -> None:
        self.evictions: Counter[tuple[str, str, str]] = Counter()  # reason, outcome, mode
        self.freed_bytes: Counter[str] = Counter({"measured": 0, "estimated": 0})
        self.regrets: Counter[str] = Counter()  # by host
        self.events: Counter[str] = Counter()  # by type
        self.duplicates = 0
        self.undecodable = 0
        self.dropped = 0
        self.commits = [0] * (len(COMMIT_BUCKETS) + 1)  # by bucket, the last one without an upper bound
        self.commit_seconds = 0.0
        self._missing: dict[Source, int] = {}
        self._note_streams(streams or {})

    @property
    def missing(self) -> int:
        """Events that have not arrived, while later ones of the same host have."""
        return sum(self._missing.values())

    def copy(self) -> "Counters":
        """The sums as they are now, for a thread that reads them while others are added."""
        made = copy.copy(self)
        made.evictions, made.freed_bytes = self.evictions.copy(), self.freed_bytes.copy()
        made.regrets, made.events = self.regrets.copy(), self.events.copy()
        made.commits, made._missing = self.commits.copy(), self._missing.copy()
        return made

    def add(self, batch: Batch, committed: Committed) -> None:
        self.duplicates += batch.duplicates
        self.undecodable += len(batch.undecodable)
        self.regrets.update(committed.regrets)
        self._note_streams(batch.streams)
        for stored in batch.events:
            self.events[stored.event.type if stored.data is not None else OTHER] += 1
            if isinstance(stored.data, payloads.DroppedData):
                self.dropped += bounds.count(stored.data.count)

    def add_eviction(self, data: payloads.OutcomeData, decided: Decided | None) -> None:
        reason = decided.reason if decided is not None and Reason.of(decided.reason) else OTHER
        self.evictions[reason, data.outcome.value, decided.mode if decided else OTHER] += 1
        kind = "estimated" if data.measured_bytes is None else "measured"
        self.freed_bytes[kind] += freed_bytes(data, decided)

    def add_build_cache(self, data: payloads.BuildCacheData) -> None:
        self.freed_bytes["measured"] += bounds.freed(data.measured_bytes or 0)

    def commit_took(self, seconds: float) -> None:
        """A batch was written to the database in this time."""
        self.commits[bisect_left(COMMIT_BUCKETS, seconds)] += 1
        self.commit_seconds += seconds

    def _note_streams(self, streams: Mapping[Source, StreamState]) -> None:
        for source, state in streams.items():
            count = sum(hi - lo + 1 for lo, hi in state.missing)
            if count:
                self._missing[source] = count
            else:
                self._missing.pop(source, None)
