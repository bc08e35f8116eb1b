"""Events between the socket and the store: the socket never waits, and what is too much is noticed."""

import asyncio
from collections import deque
from collections.abc import Iterable

from agent.adapters.engine import EngineUnavailable
from agent.core.usage.events import EngineEvent

BUFFER = 20_000  # events that may wait for the store; the engine makes up to 1,900 a second


class StreamEnded(EngineUnavailable):
    """The engine's event stream ended, or more came than could be taken in."""

    cause: Exception | None = None  # what ended the session, where it had been proven


class Buffer:
    """Events between the socket and the store: bounded, and never a reason for the socket to wait."""

    def __init__(self, limit: int = BUFFER) -> None:
        self._events: deque[EngineEvent] = deque()
        self.limit = limit
        self.overflowed = False
        self.filled = asyncio.Event()

    def put(self, event: EngineEvent) -> None:
        """Raises StreamEnded where the limit is passed: what is lost is found at the next connection."""
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
        """What was taken could not be taken in: it waits again, before what came since."""
        self._events = deque([*taken, *self._events])
        if self._events:
            self.filled.set()
