"""Tracks which events were applied already. Each connection and each audit reads some events again."""

from collections.abc import Iterable
from itertools import islice

from agent.core.usage.events import EngineEvent, Key

REMEMBERED = 4096  # keys of events whose changes are on disk


class SeenEvents:
    """The events that were applied, and those among them whose changes are on disk."""

    def __init__(self) -> None:
        self._confirmed: dict[Key, None] = {}
        self._applied: dict[Key, EngineEvent] = {}  # applied, and not confirmed yet
        self._old_ns = 0

    def begin(self, old_ns: int) -> None:
        """Start a connection with the usage from disk. `old_ns`: the changes of events up to then are on disk."""
        self._old_ns = old_ns
        self._applied.clear()

    def step_back(self, old_ns: int) -> None:
        """Lower the limit of old events: the clock was set back, so new events may have earlier times."""
        self._old_ns = min(self._old_ns, old_ns)

    def is_known(self, event: EngineEvent) -> bool:
        """Whether this process has applied the event, as far as its key is remembered."""
        return event.key in self._confirmed or event.key in self._applied

    def unknown(self, events: Iterable[EngineEvent]) -> list[EngineEvent]:
        return [event for event in events if not self.is_known(event)]

    def is_replay(self, event: EngineEvent) -> bool:
        """Whether the event's changes are on disk: by its key, or by its time until this process has confirmed one."""
        return event.key in self._confirmed or (not self._confirmed and event.time_ns <= self._old_ns)

    def add(self, event: EngineEvent) -> None:
        """Record that the event is applied. Its changes are not on disk yet, unless it was confirmed before."""
        if event.key not in self._confirmed:
            self._applied[event.key] = event

    def confirm(self) -> list[EngineEvent]:
        """Record that the changes of all applied events are on disk. Returns these events."""
        events = list(self._applied.values())
        self._confirmed.update(dict.fromkeys(self._applied))
        self._applied.clear()
        for key in list(islice(self._confirmed, max(0, len(self._confirmed) - REMEMBERED))):
            del self._confirmed[key]
        return events
