"""Images that were evicted, by the events about them, and which one a person means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.core.images.references import familiar
from agent.core.policy.decision import Outcome
from agent.core.protocol import payloads

_SHORTEST = 4  # hex digits of an ID or a digest


@dataclass(frozen=True, slots=True)
class Evicted:
    """An image that was evicted, as of its last eviction."""

    id: str
    references: tuple[str, ...]  # its tags, and its digest references in repositories in which it had no tag
    origin: str | None  # the digest reference to pull it again by
    at: datetime

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(reference for reference in self.references if "@" not in reference)

    @property
    def names(self) -> frozenset[str]:
        return frozenset((*self.references, *([self.origin] if self.origin else [])))


def images(events: Iterable[payloads.Event]) -> tuple[Evicted, ...]:
    """The images that were evicted, each once, the latest eviction first. `events`: in the order of time."""
    found: dict[str, Evicted] = {}
    for event in events:
        match payloads.data_of(event):
            case payloads.OutcomeData(outcome=Outcome.REMOVED, image=image):
                found.pop(image.id, None)
                found[image.id] = Evicted(image.id, tuple(image.references), image.origin, event.time)
    return tuple(reversed(found.values()))


def meant(text: str, known: Sequence[Evicted]) -> tuple[Evicted, ...]:
    """The images that a person may mean by a former reference, an ID, a digest, or the start of one."""
    named = tuple(image for image in known if familiar(text) in image.names)
    prefix = text.removeprefix("sha256:")
    if named or len(prefix) < _SHORTEST:
        return named
    by_id = tuple(image for image in known if image.id.removeprefix("sha256:").startswith(prefix))
    return by_id or tuple(image for image in known if _digest(image).startswith(prefix))


def _digest(image: Evicted) -> str:
    return (image.origin or "").rpartition("@sha256:")[2]
