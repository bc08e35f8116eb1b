"""The build cache, looked at once an hour: what was not used for long enough goes, by the engine's own build prune.

The engine itself checks the age of each record again as it prunes, so that one used meanwhile stays. The decision is
on disk before the act; a SIGKILL in between leaves it without an end, and the next sweep prunes what is left.
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
    """What could go."""

    records: int
    bytes: int


class BuildCachePruner:
    """Keeps one engine's build cache small. `after` None: never touches it."""

    def __init__(self, engine: Engine, store: Store, clock: Clock, *, after: timedelta | None) -> None:
        self._engine = engine
        self._store = store
        self._clock = clock
        self._after = after
        self._next = clock.monotonic()
        self._told = StaleCache(0, 0)  # in observe mode, what was told last

    async def find_stale(self) -> StaleCache:
        """What was not used for long enough. Raises EngineError."""
        if self._after is None:
            return StaleCache(0, 0)
        found = build_cache.stale(await self._engine.build_cache(), self._after, self._clock.now())
        return StaleCache(len(found), sum(record.size_bytes for record in found))

    async def sweep(self, hold: HeldBy | None) -> None:
        """Prune, if it is time and nothing but `observe` holds. An engine that fails is asked again an hour later."""
        if self._after is None or hold not in (None, HeldBy.OBSERVE) or self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + LOOK_EVERY
        try:
            found = await self.find_stale()
        except EngineError as error:
            log.warning("the build cache cannot be looked at", action="build-cache", error=str(error))
            return
        if not found.records or (hold is HeldBy.OBSERVE and found == self._told):
            return
        self._told = found
        if hold is HeldBy.OBSERVE:
            await self._tell("would-prune", found, self._after)
        else:
            await self._prune(found, self._after)

    async def _prune(self, found: StaleCache, after: timedelta) -> None:
        """Decide, prune, tell."""
        await self._tell("decided", found, after)
        try:
            freed = await self._engine.prune_build_cache(after)
        except EngineError as error:
            await self._tell("failed", found, after, error=str(error))
            return
        await self._tell("pruned", found, after, freed=freed)

    async def _tell(
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
        log.info("the build cache", action="build-cache", state=state, records=found.records, error=error)
