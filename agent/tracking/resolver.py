"""Looks up what an event does not contain: the image of a container or a pull, and the layers of a build.

Docker answers as of now. If the answer may have changed since the event, the event stays unresolved, which is a gap.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

from agent.adapters.engine import EngineError, EngineUnavailable, MadeFrom, NotFound, PulledTarget
from agent.core.usage import pulls
from agent.core.usage.arrivals import Layers
from agent.core.usage.events import COMMIT, EngineEvent
from agent.core.usage.fold import NOTHING, Resolved, UsageFold

T = TypeVar("T")

OUTDATED = Resolved(outdated=True)

ImageOf = Callable[[str], Awaitable[str | None]]


class Lookups(Protocol):
    """The queries that the resolver needs; see `engine.Engine`."""

    async def made_from(self, container_id: str) -> MadeFrom: ...

    async def image_id(self, reference: str) -> str: ...

    async def pulled_target(self, reference: str) -> PulledTarget: ...

    async def layers(self, image_id: str) -> Layers: ...


class EventResolver:
    """Looks up the facts that the fold needs about an event. Every method raises EngineUnavailable."""

    def __init__(self, engine: Lookups, fold: UsageFold, image_of: ImageOf) -> None:
        """`image_of`: container ID -> the image that it used, from the history; None if the history has none."""
        self._engine = engine
        self._fold = fold
        self._image_of = image_of

    async def resolve(self, event: EngineEvent, known: Iterable[EngineEvent]) -> Resolved:
        """Look up one event. `known`: other events; later ones among them may have moved its reference."""
        if event.kind == "container":
            return await self._resolve_container(event) if event.action != COMMIT else NOTHING
        if event.action == "pull":
            return await self._resolve_pull(event, known)
        if self._fold.may_be_build(event):
            return Resolved(layers=self._fold.layers_of(event.actor) or await _answer(self._engine.layers(event.actor)))
        return NOTHING

    async def _resolve_container(self, event: EngineEvent) -> Resolved:
        """Find the image by the tracked container, else by inspect, else by the history, else by the image's name.

        Events of a removed container may be read a second time. The name may then point to another image, so the
        history comes first.
        """
        tracker = self._fold.tracker
        tracked = tracker.containers.get(event.actor)
        if tracked is not None:
            return Resolved(tracked.image_id, tracked.mounted)
        try:
            made = await self._engine.made_from(event.actor)
            return await self._with_mounts(event, made)
        except NotFound:
            used = await self._image_of(event.actor)
        return Resolved(used or tracker.names.resolve(event.image), by_name=used is None)

    async def _with_mounts(self, event: EngineEvent, made: MadeFrom) -> Resolved:
        """Add the images that a container mounts by name, as of its creation; unknown if any of the names is unknown.

        The image that a name points to now counts, too: an import can move a name without an event.
        """
        found: set[str] = set()
        if made.mounts is None:
            return Resolved(made.image_id)
        for name in made.mounts:
            then = self._fold.tracker.names.resolve(name) if event.action == "create" else None
            if then is None:
                return Resolved(made.image_id, listing_due=True)
            found.update(filter(None, (then, await _answer(self._engine.image_id(name)))))
        return Resolved(made.image_id, tuple(sorted(found)))

    async def _resolve_pull(self, event: EngineEvent, known: Iterable[EngineEvent]) -> Resolved:
        """Find the image that was pulled: the one its reference points to now, unless the reference has moved since."""
        if self._fold.seen.is_replay(event):
            return OUTDATED
        now = await _answer(self._engine.pulled_target(event.actor))
        if now is None:
            return NOTHING
        same = pulls.is_still(event, now.id, now.at, known, self._fold.tracker.names)
        return Resolved(now.id if same else None)


async def _answer(request: Awaitable[T]) -> T | None:
    """The answer of the engine; None if it refuses, as it does for an image that is gone. Raises EngineUnavailable."""
    try:
        return await request
    except EngineUnavailable:
        raise
    except EngineError:
        return None
