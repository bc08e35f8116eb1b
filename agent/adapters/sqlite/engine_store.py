"""The part of the state that belongs to one engine.

Each method that writes is one transaction: after a SIGKILL, all of it or nothing is there. All methods raise StateFull,
StateDamaged and StateError.
"""

from datetime import datetime

from agent.adapters.sqlite.removal_journal import Removal, RemovalJournal
from agent.adapters.sqlite.usage_tables import StoredEngine, UsageTables
from agent.adapters.sqlite.worker import Worker
from agent.core.protocol.new_events import NewEvent
from agent.core.pytorch.layer_probe import LayerProbe
from agent.core.timekeeping import MachineOff
from agent.core.usage.continuity import BlindPeriod, Cursor
from agent.core.usage.tracker import Changes, IgnoredRuns, Use


class EngineStore:
    """One engine with one storage driver and one root directory. Created by `Store.engine`."""

    def __init__(self, worker: Worker, usage: UsageTables, journal: RemovalJournal, row: int) -> None:
        """`row`: the number of the engine's row."""
        self._run = worker.run
        self._append = worker.append
        self._usage = usage
        self._journal = journal
        self._row = row

    # The watch

    async def load(self) -> StoredEngine:
        """The stored data of the engine; empty if it was never watched."""
        return await self._run(self._usage.load, self._row)

    async def commit(self, changes: Changes, cursor: Cursor | None) -> None:
        """Write the changes by events, and the cursor up to which events were read, together. None keeps the old one.

        A cursor before the stored one has no effect.
        """
        await self._run(self._usage.commit, self._row, changes, cursor)

    async def rewind(self, cursor: Cursor) -> None:
        """Set the cursor back, because it was recorded with a wrong clock."""
        await self._run(self._usage.rewind, self._row, cursor)

    async def record_heartbeat(self, cursor: Cursor) -> None:
        """Write until when the agent is known to have been watching, and whether the engine ended then."""
        await self._run(self._usage.record_heartbeat, self._row, cursor)

    async def record_gap(self, blind: BlindPeriod, event: NewEvent) -> None:
        """Set the end of the last gap, and append the gap's event, together."""
        await self._append(self._usage.record_gap, self._row, blind, event)

    async def record_machine_off(self, off: MachineOff) -> None:
        """Add a time in which the machine was off or suspended."""
        await self._run(self._usage.record_machine_off, self._row, off)

    # The history

    async def load_uses(self, image_id: str, most: int) -> list[Use]:
        """The latest uses of an image, newest first."""
        return await self._run(self._usage.load_uses, self._row, image_id, most)

    async def load_ignored_runs(self, image_id: str) -> list[IgnoredRuns]:
        """The runs of an image that do not count as uses, as totals by pattern."""
        return await self._run(self._usage.load_ignored_runs, self._row, image_id)

    async def find_image(self, container_id: str) -> str | None:
        """The ID of the image that a container used; None if the history has no use by that container."""
        return await self._run(self._usage.find_image, self._row, container_id)

    # Layer probes

    async def load_layer_probes(self) -> dict[str, LayerProbe]:
        """Image ID -> the result of its layer probe, only for probes with the present rules."""
        return await self._run(self._usage.load_layer_probes, self._row)

    async def save_layer_probe(self, image_id: str, probe: LayerProbe) -> None:
        """Store the result of a layer probe. Not for an unknown result."""
        await self._run(self._usage.save_layer_probe, self._row, image_id, probe)

    # Removals

    async def begin_removal(self, removal: Removal, decision: NewEvent) -> None:
        """Write the decision, unless it was written before, and the journal row, together.

        If the agent is killed before `end_removal`, the next start finds the journal row with `load_removals`.
        """
        await self._append(self._journal.begin_removal, self._row, removal, decision)

    async def end_removal(self, image_id: str, outcome: NewEvent, not_before: datetime | None) -> None:
        """Write the outcome, delete the journal row, and set the back-off, together.

        `not_before`: the end of the back-off; None removes it. If the state was copied and the removal was begun on the
        other machine, its decision is written too.
        """
        await self._append(self._journal.end_removal, self._row, image_id, outcome, not_before)

    async def load_removals(self) -> list[Removal]:
        """The removals that were begun but not ended, oldest first."""
        return await self._run(self._journal.load_removals, self._row)

    async def load_backoff(self) -> dict[str, datetime]:
        """Image ID -> the time before which its removal is not tried again."""
        return await self._run(self._journal.load_backoff, self._row)

    async def count_failures(self, image_id: str) -> int:
        """The number of refused or failed removals of an image since the last successful one."""
        return await self._run(self._journal.count_failures, self._row, image_id)
