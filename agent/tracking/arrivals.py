"""Images that a build made, and images that came whole.

A build is a use of all that it was built on; a pull, a load, an import is not. No event tells a build from a mere
tag, and some builds raise none at all: so every image that shows up and did not come whole counts as built.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from agent.adapters.clock import Clock
from agent.adapters.engine import Engine, EngineError, EngineUnavailable
from agent.core.images import layers
from agent.core.images.references import familiar
from agent.core.model import Details, Image
from agent.core.usage.events import EngineEvent, Key
from agent.tracking.engine_view import EngineView

Layers = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PendingBuild:
    """An image that a build may have made; its layers are None where it could not be asked in time."""

    at: datetime
    layers: Layers | None


class ImageArrivals:
    """What came since the last listing. The next one settles it."""

    def __init__(self, engine: Engine, view: EngineView, clock: Clock) -> None:
        self._engine = engine
        self._view = view
        self._clock = clock
        self._built: dict[str, PendingBuild] = {}
        self._came: set[str] = set()
        self._pulled: dict[Key, str | None] = {}

    @property
    def unsettled(self) -> bool:
        """Whether a build waits for the first listing of this process: until then its bases are not known."""
        return bool(self._built) and not self._view.images

    def mark_imported(self, image_id: str) -> None:
        self._came.add(image_id)

    async def build(self, event: EngineEvent) -> None:
        """Somebody tagged an image. What it was built on counts as used at once: it may be gone by the next listing."""
        before = self._built.get(event.actor)
        found = before.layers if before is not None else await self._layers(event.actor)
        self._built[event.actor] = PendingBuild(event.at, found)
        if event.actor not in self._came:
            self._touch_bases(event.actor, found, event.at)

    async def _layers(self, image_id: str) -> Layers | None:
        try:
            return self._listed_layers(image_id) or await self._engine.layers(image_id)
        except EngineUnavailable:
            raise
        except EngineError:
            return None

    async def pulled(self, event: EngineEvent, events: Iterable[EngineEvent]) -> str | None:
        """The image that a pull brought, or None where nobody can say any more. `events`: what is known to follow it.

        A pull tells the reference alone, and what that means now is asked: whatever else has named it since hides
        the answer. Only where it meant the same image before does another pull of it change nothing.
        """
        if event.key not in self._pulled:  # else it is applied once more, on top of a listing
            self._pulled[event.key] = await self._ask(event, events)
        return self._pulled[event.key]

    def has_resolved(self, event: EngineEvent) -> bool:
        return event.key in self._pulled

    async def _ask(self, event: EngineEvent, events: Iterable[EngineEvent]) -> str | None:
        try:
            target = await self._engine.pulled_target(event.actor)
        except EngineUnavailable:
            raise
        except EngineError:
            return None
        later = [other for other in events if other.time_ns > event.time_ns and other.kind == "image"]
        moves = [other for other in later if _names(other) == familiar(event.actor)]
        if any(other.action != "pull" for other in moves):
            return None
        if moves and self._view.tracker.names.resolve(event.actor) != target.id:
            return None
        own_tags = [other for other in later if other.action == "tag" and other.actor == target.id]
        return target.id if target.at <= max(other.at for other in (event, *moves, *own_tags)) else None

    def finish_listing(self, new: Iterable[str], *, first: bool) -> tuple[datetime, ...]:
        """After a listing: the bases of all that was built are used. Returns the times of builds on nobody knows what.

        `new`: the images that the listing showed for the first time. At the very `first` one all are, and tell nothing.
        """
        now, known, came = self._clock.now(), self._built, self._came
        self._built, self._came = {}, set()
        if first:
            return ()
        fresh = {image_id: PendingBuild(now, self._listed_layers(image_id)) for image_id in new}
        built = {key: item for key, item in (fresh | known).items() if key not in came}
        return tuple(item.at for key, item in built.items() if not self._touch_bases(key, item.layers, item.at))

    def forget_pulls(self) -> None:
        """They were applied, on top of the listing too."""
        self._pulled.clear()

    def _touch_bases(self, image_id: str, found: Layers | None, at: datetime) -> bool:
        found = found if found is not None else self._listed_layers(image_id)
        if found is None:
            return False
        others = (image for image in self._view.images if image.id != image_id)
        for base in layers.base_images(image_id, (*others, Image(id=image_id, details=Details(layers=found)))):
            self._view.tracker.touch(base, at, f"build of {image_id[7:19]}", self._clock.now())
        return True

    def _listed_layers(self, image_id: str) -> Layers | None:
        return next(
            (image.details.layers for image in self._view.images if image.id == image_id and image.details), None
        )


def _names(event: EngineEvent) -> str:
    """The reference that an image event gives to an image, or takes from it, where it tells one."""
    if event.action == "pull":
        return familiar(event.actor)
    return familiar(event.name) if event.action in ("tag", "untag") and event.name else ""
