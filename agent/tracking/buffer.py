"""Holds events between the socket and the store, so that reading the socket never waits; detects an overflow."""

import asyncio
from collections import deque
from collections.abc import Iterable

from agent.adapters.engine import EngineUnavailable
from agent.core.usage.events import EngineEvent

BUFFER = 20_000  # events that may wait for the store; Docker sends up to 1,900 a second


class StreamEnded(EngineUnavailable):
    """Docker's event stream ended or lost events, or the buffer is full."""

    cause: Exception | None = None  # the error that ended a session that was proven before


class Buffer:
    """A bounded queue of events. Adding an event never waits."""

    def __init__(self, limit: int = BUFFER) -> None:
        self._events: deque[EngineEvent] = deque()
        self.limit = limit
        self.overflowed = False
        self.filled = asyncio.Event()

    def put(self, event: EngineEvent) -> None:
        """Add an event. Raises StreamEnded at the limit: the next connection reads the lost events again."""
        if len(self._events) >= self.limit:
            self.overflowed = True
            raise StreamEnded(0, f"more than {self.limit} events waited; reading the engine's memory instead")
        self._events.append(event)
        self.filled.set()

    @property
    def waiting(self) -> tuple[EngineEvent, ...]:
        return tuple(self._events)

    def take(self) -> list[EngineEvent]:
        taken = list(self._events)
        self._events.clear()
        self.filled.clear()
        return taken

    def give_back(self, taken: Iterable[EngineEvent]) -> None:
        """Put events that could not be processed back, before those that arrived since."""
        self._events = deque([*taken, *self._events])
        if self._events:
            self.filled.set()
