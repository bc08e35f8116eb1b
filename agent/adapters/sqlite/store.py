"""The agent's state, as the rest of the agent reads and writes it.

Each method that writes is one transaction: after a SIGKILL, all of it or nothing is there. Each method that adds an
event, or puts one back into the outbox, wakes the sender. All methods raise StateFull, StateDamaged and StateError.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from datetime import datetime
from pathlib import Path

from agent.adapters.engine import EngineInfo
from agent.adapters.outbox import OutboxRow, Watermark
from agent.adapters.sqlite import event_log
from agent.adapters.sqlite.engine_store import EngineStore
from agent.adapters.sqlite.event_counts import EventCounter
from agent.adapters.sqlite.event_log import EventLog
from agent.adapters.sqlite.queries import Queries
from agent.adapters.sqlite.removal_journal import RemovalJournal
from agent.adapters.sqlite.usage_tables import StoredEngine, UsageTables
from agent.adapters.sqlite.worker import Worker
from agent.core.figures import EventCounts, Freed, Waiting
from agent.core.policy.limits import PastEviction
from agent.core.protocol import payloads
from agent.core.protocol.new_events import NewEvent

POLICIES = "policies"  # the key of the policies in force


class Store:
    """One state file. Satisfies `outbox.Outbox`."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: Path | None = None,
        *,
        bound: int = event_log.MAX_WAITING_BYTES,
        most_ranges: int = event_log.MOST_RANGES,
        copied: str = "",
        executor: Executor | None = None,
        before: Callable[[str], None] | None = None,
    ) -> None:
        """`folder`: None for a copy in memory. `bound`: limit of the outbox in bytes.

        `most_ranges`: see EventLog. `copied`: the message of `identity.settle`. `executor`, `before`: for tests; see
        `Worker`.
        """
        self._db = Queries(connection)
        self._log = EventLog(self._db, bound, most_ranges)
        self._usage = UsageTables(self._db, self._log)
        self._journal = RemovalJournal(self._db, self._log)
        self._counter = EventCounter(self._db, self._log)
        self._worker = Worker(folder, executor=executor, before=before)
        self._run = self._worker.run
        self._append = self._worker.append
        self.epoch = self._log.epoch  # differs for each new state file
        self.agent_id = self._log.agent_id  # differs for two agents with one name
        self.copied = copied  # "" unless this state was copied from another machine

    @property
    def host(self) -> str:
        """The host name in events: the stored one, until `name_host` sets another."""
        return self._log.host

    async def name_host(self, host: str) -> None:
        """Use a host name from now on, and store it for times when the engine is not available."""
        await self._run(self._log.name_host, host)

    # Engines

    async def engine(self, info: EngineInfo) -> EngineStore:
        """The part of the state that belongs to one engine; it is created if it does not exist."""
        row = await self._run(self._usage.add_engine, *info.key)
        return EngineStore(self._worker, self._usage, self._journal, row)

    async def load_latest_engine(self) -> StoredEngine | None:
        """The data of the engine that was watched last; None if none ever was."""
        return await self._run(self._usage.load_latest_engine)

    async def prune(self, before: datetime, now: datetime, *, declare_dropped: bool) -> None:
        """Delete history older than a time.

        `declare_dropped`: keep unsent decisions and outcomes, and list the other deleted unsent events in a `dropped`
        event. False, for an agent without a broker: delete all, and list none.
        """
        await self._run(self._counter.count)  # while the events are still there
        await self._append(self._usage.prune, before, now, declare_dropped=declare_dropped)

    # The policies in force

    async def load_policies(self) -> str | None:
        """The text that `save_policies` stored last; None if it never did."""
        return await self._run(self._db.load_value, POLICIES)

    async def save_policies(self, text: str) -> None:
        """Store the policies in force, encoded by the caller."""
        await self._run(self._db.save_value, POLICIES, text)

    # Decisions and the audit trail

    async def log(self, event: NewEvent) -> None:
        """Append one event."""
        await self._append(self._log.append, event)

    async def record_decision(self, decision: NewEvent, outcome: NewEvent) -> bool:
        """Write a decision without a removal, together with its outcome.

        Returns False, and writes nothing, if the decision was written before: there is one per image and due time.
        """
        written = await self._run(self._journal.record_decision, decision, outcome)
        if written:
            self.wake()
        return written

    async def load_events(self, since: datetime) -> list[payloads.Event]:
        """All events since a time, as on MQTT, oldest first.

        If the state was copied, the events of the other machine come first, with its host name and epoch.
        """
        return await self._run(self._log.load_events, since)

    async def load_last_decisions(self, most: int) -> list[tuple[payloads.Event, payloads.Event | None]]:
        """The latest decisions, newest first, each with its last outcome."""
        return await self._run(self._log.load_last_decisions, most)

    async def load_also_removed(self, since: datetime) -> list[payloads.Event]:
        """The outcomes since a time of evictions that also removed something else, newest first."""
        return await self._run(self._log.load_also_removed, since)

    async def load_past_evictions(self, since: datetime) -> tuple[PastEviction, ...]:
        """The evictions since a time on all engines, with their estimated bytes, oldest first."""
        return await self._run(self._journal.load_past_evictions, since)

    # Figures

    async def count_events(self) -> EventCounts:
        """What the event log has counted since its first event."""
        return await self._run(self._counter.count)

    async def load_freed(self, since: datetime) -> Freed:
        """What evictions and prunes of the build cache freed since a time."""
        return await self._run(self._counter.freed, since)

    async def load_waiting(self) -> Waiting:
        """The rows in the outbox, and when the oldest was written."""
        return await self._run(self._counter.waiting)

    # The outbox

    @property
    def appended(self) -> asyncio.Event:
        return self._worker.appended

    def wake(self) -> None:
        self._worker.appended.set()

    async def unsent(self, after: int, limit: int) -> list[OutboxRow]:
        return await self._run(self._log.unsent, after, limit)

    async def retire(self, up_to: int, deferred: Iterable[int] = ()) -> None:
        await self._run(self._log.retire, up_to, tuple(deferred))

    async def watermark(self) -> int | None:
        return await self._run(self._log.watermark)

    async def acknowledge(self, epoch: str, seq: int, now: datetime) -> Watermark | None:
        return await self._append(self._log.acknowledge, epoch, seq, now)

    async def quarantine(self, seq: int, error: str, now: datetime) -> None:
        await self._append(self._log.quarantine, seq, error, now)

    async def declare_missing(self, now: datetime) -> None:
        await self._append(self._log.declare_missing, now)

    async def nearly_full(self) -> bool:
        return await self._run(self._log.nearly_full)

    async def waiting_bytes(self) -> int:
        """The bytes of the events in the outbox, including the overhead of their rows."""
        return await self._run(self._log.waiting_bytes)

    async def close(self) -> None:
        """Finish all pending calls, and close the state file."""
        await self._worker.close(self._db.close)
