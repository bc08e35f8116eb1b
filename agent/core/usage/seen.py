"""Which events were taken in already. The engine repeats events: after each connection, and in each audit."""

from collections.abc import Iterable
from itertools import islice

from agent.core.usage.events import EngineEvent, Key

REMEMBERED = 4096  # keys of events whose changes are on disk


class SeenEvents:
    """The events that were applied, and those among them whose changes are on disk."""

    def __init__(self) -> None:
        self._confirmed: dict[Key, None] = {}
        self._applied: dict[Key, EngineEvent] = {}  # and not yet confirmed
        self._old_ns = 0

    def begin(self, old_ns: int) -> None:
        """A connection begins, with usage as it is on disk. `old_ns`: an earlier process has read up to that time."""
        self._old_ns = old_ns
        self._applied.clear()

    def step_back(self, old_ns: int) -> None:
        """The clock was set back: a later event may bear an earlier time."""
        self._old_ns = min(self._old_ns, old_ns)

    def is_known(self, event: EngineEvent) -> bool:
        """Whether this process has applied it."""
        return event.key in self._confirmed or event.key in self._applied

    def unknown(self, events: Iterable[EngineEvent]) -> list[EngineEvent]:
        return [event for event in events if not self.is_known(event)]

    def is_replay(self, event: EngineEvent) -> bool:
        """Whether its changes were on disk before. What this process wrote, it knows by key, else by the time."""
        return event.key in self._confirmed or (not self._confirmed and event.time_ns <= self._old_ns)

    def add(self, event: EngineEvent) -> None:
        """It is applied. Unless it was confirmed before, its changes are not on disk yet."""
        if event.key not in self._confirmed:
            self._applied[event.key] = event

    def confirm(self) -> list[EngineEvent]:
        """The changes of all applied events are on disk. Returns these events."""
        events = list(self._applied.values())
        self._confirmed.update(dict.fromkeys(self._applied))
        self._applied.clear()
        for key in list(islice(self._confirmed, max(0, len(self._confirmed) - REMEMBERED))):
            del self._confirmed[key]
        return events
