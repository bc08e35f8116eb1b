"""Which of the engine's events are echoes of the agent's own removals.

An echo is expected before the call that raises it, by what it says, and is taken at most once. Every other event of
an image that is being removed is somebody else's act: a tag is an arrival then, as at any other time.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.core.usage.events import EngineEvent, Key

LATE = timedelta(hours=1)  # how long after a removal an echo of it may still come


@dataclass(frozen=True, slots=True)
class _Echo:
    action: str  # tag, untag, delete
    reference: str  # "" for a delete

    def means(self, event: EngineEvent) -> bool:
        """On a graph driver the name of an untag event is the image's ID: there any of its untags will do."""
        named = event.name in (self.reference, event.actor) or self.action == "delete"
        return event.action == self.action and named


@dataclass(slots=True)
class _Span:
    """One removal: from its first act to its last, and the echoes that have not come yet."""

    start: datetime
    end: datetime | None = None
    echoes: list[_Echo] = field(default_factory=list)
    judged: dict[Key, bool] = field(default_factory=dict)  # events, some of which are asked about again
    passed: set[str] = field(default_factory=set)  # names that other images got meanwhile

    def has(self, at: datetime) -> bool:
        return self.start <= at and (self.end is None or at <= self.end)

    def covers(self, event: EngineEvent) -> bool:
        if event.key not in self.judged:
            echo = next((echo for echo in self.echoes if echo.means(event)), None)
            if echo is not None:
                self.echoes.remove(echo)
            self.judged[event.key] = echo is not None
        return self.judged[event.key]


class OwnRemovals:
    """The removals of this process, by image."""

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
        """Say what the next call will make the engine tell. `begin` came before."""
        self._spans[image_id].echoes += [_Echo(action, reference) for reference in references]

    def passed(self, image_id: str) -> frozenset[str]:
        """The names that other images got since its removal began, as far as the stream has told."""
        return frozenset(self._spans[image_id].passed)

    def caused(self, event: EngineEvent) -> bool:
        """Whether this tag, untag or delete is the agent's own. The answer for one event stays the same."""
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
