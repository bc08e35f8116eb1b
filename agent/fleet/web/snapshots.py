"""Keeps the latest snapshot for everybody who asks within a second."""

import asyncio

from agent.adapters.clock import Clock
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.position import Position
from agent.fleet.live.snapshot import Snapshot, make

MAKE_EVERY = 1.0  # seconds


class Snapshots:
    """The latest snapshot, made again if somebody asks for it, something changed, and MAKE_EVERY has passed."""

    def __init__(self, live: LiveFleet, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._made_at = 0.0
        self._latest: Snapshot | None = None
        self._making: Position | None = None
        self._lock = asyncio.Lock()

    @property
    def oldest_tick(self) -> int:
        """The tick of the oldest snapshot that somebody who asks from now on may get."""
        if self._making is not None:
            return self._making.tick
        return self._latest.position.tick if self._latest and self._is_fresh() else self._live.position.tick

    async def current(self) -> Snapshot:
        """The snapshot, at most MAKE_EVERY old."""
        async with self._lock:
            if self._latest is None or not self._is_fresh():
                self._latest = await self._make()
            return self._latest

    def _is_fresh(self) -> bool:
        same = self._latest is not None and self._latest.position == self._live.position
        return same or self._clock.monotonic() - self._made_at < MAKE_EVERY

    async def _make(self) -> Snapshot:
        self._making, began = self._live.position, self._clock.monotonic()
        try:
            # The thread gets a list of its own, as the loop goes on; a row never changes.
            made = await asyncio.to_thread(make, self._making, self._live.rows())
            self._made_at = began
            return made
        finally:
            self._making = None
