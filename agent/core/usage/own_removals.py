"""Finds out which of the engine's events are caused by the agent's own removals.

Before each call, the agent records which event the call will raise (its echo). Each echo matches at most one event.
Any other event of an image that is being removed is caused by somebody else: a tag is an arrival, as always.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.core.usage.events import EngineEvent, Key

LATE = timedelta(hours=1)  # how long after a removal its echoes may still arrive


@dataclass(frozen=True, slots=True)
class _Echo:
    action: str  # tag, untag, delete
    reference: str  # "" for a delete

    def matches(self, event: EngineEvent) -> bool:
        """Whether the event may be this echo. With a graph driver, an untag event has the image's ID as its name."""
        named = event.name in (self.reference, event.actor) or self.action == "delete"
        return event.action == self.action and named


@dataclass(slots=True)
class _Span:
    """The time of one removal, from its first call to its last, and the echoes that have not arrived yet."""

    start: datetime
    end: datetime | None = None
    echoes: list[_Echo] = field(default_factory=list)
    judged: dict[Key, bool] = field(default_factory=dict)  # event -> whether it was an echo; this never changes
    passed: set[str] = field(default_factory=set)  # references that other images got meanwhile

    def has(self, at: datetime) -> bool:
        return self.start <= at and (self.end is None or at <= self.end)

    def covers(self, event: EngineEvent) -> bool:
        if event.key not in self.judged:
            echo = next((echo for echo in self.echoes if echo.matches(event)), None)
            if echo is not None:
                self.echoes.remove(echo)
            self.judged[event.key] = echo is not None
        return self.judged[event.key]


class OwnRemovals:
    """The removals by this process, by image ID."""

    def __init__(self) -> None:
        self._spans: dict[str, _Span] = {}

    @property
    def in_progress(self) -> frozenset[str]:
        """The images that are being removed now."""
        return frozenset(image_id for image_id, span in self._spans.items() if span.end is None)

    def begin(self, image_id: str, at: datetime) -> None:
        ended = [key for key, span in self._spans.items() if span.end is not None and at - span.end > LATE]
        for key in ended:
            del self._spans[key]
        self._spans[image_id] = _Span(at)

    def end(self, image_id: str, at: datetime) -> None:
        self._spans[image_id].end = at

    def expect(self, image_id: str, action: str, *references: str) -> None:
        """Record which events the next call will raise. Call `begin` first."""
        self._spans[image_id].echoes += [_Echo(action, reference) for reference in references]

    def passed(self, image_id: str) -> frozenset[str]:
        """The references that other images got since the removal of this one began, as far as events show."""
        return frozenset(self._spans[image_id].passed)

    def caused(self, event: EngineEvent) -> bool:
        """Whether the agent caused this tag, untag or delete. The answer for one event never changes."""
        if event.kind != "image" or event.action not in ("tag", "untag", "delete"):
            return False
        if event.action == "tag":
            self._note_passed(event)
        span = self._spans.get(event.actor)
        return span is not None and span.has(event.at) and span.covers(event)

    def _note_passed(self, event: EngineEvent) -> None:
        for image_id, span in self._spans.items():
            if image_id != event.actor and span.has(event.at):
                span.passed.add(event.name)
