"""The part of the state that belongs to one engine.

Each method that writes is one transaction: a SIGKILL leaves all of it or nothing. All methods raise StateFull,
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
    """One engine with one storage driver on one root directory. `Store.engine` makes it."""

    def __init__(self, worker: Worker, usage: UsageTables, journal: RemovalJournal, row: int) -> None:
        """`row`: the number of the engine's row."""
        self._run = worker.run
        self._append = worker.append
        self._usage = usage
        self._journal = journal
        self._row = row

    # The watch

    async def load(self) -> StoredEngine:
        """What is known of the engine; for one that was never watched, an empty start."""
        return await self._run(self._usage.load, self._row)

    async def commit(self, changes: Changes, cursor: Cursor | None) -> None:
        """Write what events changed, and how far they were read, together. `cursor`: None leaves it where it is.

        A cursor that lies before the stored one does not move that.
        """
        await self._run(self._usage.commit, self._row, changes, cursor)

    async def rewind(self, cursor: Cursor) -> None:
        """Set the cursor back: the clock that it was read by was wrong."""
        await self._run(self._usage.rewind, self._row, cursor)

    async def record_heartbeat(self, cursor: Cursor) -> None:
        """Write until when the agent is known to have watched the engine, and whether the engine ended then."""
        await self._run(self._usage.record_heartbeat, self._row, cursor)

    async def record_gap(self, blind: BlindPeriod, event: NewEvent) -> None:
        """Move the end of the last gap forward, and append the gap's event, together."""
        await self._append(self._usage.record_gap, self._row, blind, event)

    async def record_machine_off(self, off: MachineOff) -> None:
        """Add a time in which the machine was off or suspended."""
        await self._run(self._usage.record_machine_off, self._row, off)

    # The history

    async def load_uses(self, image_id: str, most: int) -> list[Use]:
        """The latest uses of an image, newest first."""
        return await self._run(self._usage.load_uses, self._row, image_id, most)

    async def load_ignored_runs(self, image_id: str) -> list[IgnoredRuns]:
        """The runs of an image that do not count as uses, summed up by pattern."""
        return await self._run(self._usage.load_ignored_runs, self._row, image_id)

    async def find_image(self, container_id: str) -> str | None:
        """The ID of the image that a container used; None where the history has no use by that container."""
        return await self._run(self._usage.find_image, self._row, container_id)

    # What the layers of images show

    async def load_layer_probes(self) -> dict[str, LayerProbe]:
        """Image ID -> what its layers show. Only probes by the rules that are in force now."""
        return await self._run(self._usage.load_layer_probes, self._row)

    async def save_layer_probe(self, image_id: str, probe: LayerProbe) -> None:
        """Keep what the layers of an image show. Not for a probe whose result is unknown."""
        await self._run(self._usage.save_layer_probe, self._row, image_id, probe)

    # Removals

    async def begin_removal(self, removal: Removal, decision: NewEvent) -> None:
        """Write the decision, unless it was written before, and the journal row, together.

        Where the agent is killed between this and `end_removal`, the next start finds the row by `load_removals`.
        """
        await self._append(self._journal.begin_removal, self._row, removal, decision)

    async def end_removal(self, image_id: str, outcome: NewEvent, not_before: datetime | None) -> None:
        """Write the outcome, delete the journal row, and set the back-off, together.

        `not_before`: the end of the back-off; None lifts it. Where the removal was begun on the machine that this
        state was copied from, its decision is written as well.
        """
        await self._append(self._journal.end_removal, self._row, image_id, outcome, not_before)

    async def load_removals(self) -> list[Removal]:
        """The removals that were begun and not ended, oldest first."""
        return await self._run(self._journal.load_removals, self._row)

    async def load_backoff(self) -> dict[str, datetime]:
        """Image ID -> no removal of it is tried before this time."""
        return await self._run(self._journal.load_backoff, self._row)

    async def count_failures(self, image_id: str) -> int:
        """How many removals of an image were refused or failed since the last that succeeded."""
        return await self._run(self._journal.count_failures, self._row, image_id)
