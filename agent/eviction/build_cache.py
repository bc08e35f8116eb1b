"""Prunes the build cache once an hour: Docker's build prune deletes records unused for longer than a limit.

Docker checks the age of each record again while it prunes, so a record used meanwhile stays. The decision is on disk
before the prune. A SIGKILL in between leaves it without an outcome, and the next sweep prunes the rest.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from agent.adapters.clock import Clock
from agent.adapters.engine import Engine, EngineError
from agent.adapters.sqlite.store import Store
from agent.core.policy import build_cache
from agent.core.policy.decision import HeldBy
from agent.core.protocol import new_events
from agent.core.protocol.payloads import BuildCacheState

log = structlog.get_logger()

LOOK_EVERY = 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class StaleCache:
    """The records that could be pruned."""

    records: int
    bytes: int


class BuildCachePruner:
    """Prunes one engine's build cache. `after`: the unused time that makes a record stale; None: never prune."""

    def __init__(self, engine: Engine, store: Store, clock: Clock, *, after: timedelta | None) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._after = after
        self._next = clock.monotonic()
        self.total_bytes: int | None = None  # of all records, as of the last look; None before it
        self._last_found = StaleCache(0, 0)  # reported last; observe mode does not report the same again

    def take(self, after: timedelta | None) -> None:
        """Use another `after` from the next look on."""
        self._after = after

    async def find_stale(self) -> StaleCache:
        """The records that are stale now. Raises EngineError."""
        return StaleCache(0, 0) if self._after is None else await self._find_stale(self._after)

    async def _find_stale(self, after: timedelta) -> StaleCache:
        records = await self._engine.build_cache()
        self.total_bytes = sum(record.size_bytes for record in records)
        found = build_cache.stale(records, after, self._clock.now())
        return StaleCache(len(found), sum(record.size_bytes for record in found))

    async def sweep(self, hold: HeldBy | None) -> None:
        """Prune once an hour. `hold`: why evictions wait; observe mode only reports. Retries an hour after an error."""
        after = self._after  # a reload may change it meanwhile
        if after is None or hold not in (None, HeldBy.OBSERVE) or self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + LOOK_EVERY
        try:
            found = await self._find_stale(after)
        except EngineError as error:
            log.warning("cannot read build cache usage", action="build-cache", error=str(error))
            return
        if not found.records or (hold is HeldBy.OBSERVE and found == self._last_found):
            return
        self._last_found = found
        if hold is HeldBy.OBSERVE:
            await self._record("would-prune", found, after)
        else:
            await self._prune(found, after)

    async def _prune(self, found: StaleCache, after: timedelta) -> None:
        """Record the decision, prune, and record the outcome."""
        await self._record("decided", found, after)
        try:
            freed = await self._engine.prune_build_cache(after)
        except EngineError as error:
            await self._record("failed", found, after, error=str(error))
            return
        self.total_bytes = max(0, (self.total_bytes or 0) - freed)
        await self._record("pruned", found, after, freed=freed)

    async def _record(
        self,
        state: BuildCacheState,
        found: StaleCache,
        after: timedelta,
        *,
        freed: int | None = None,
        error: str | None = None,
    ) -> None:
        event = new_events.build_cache(
            state,
            self._clock.now(),
            unused_for=after,
            records=found.records,
            estimated_bytes=found.bytes,
            measured_bytes=freed,
            error=error,
        )
        await self._store.log(event)
        log.info(
            "build cache",
            action="build-cache",
            state=state,
            records=found.records,
            freed_bytes=freed,
            error=error,
        )
