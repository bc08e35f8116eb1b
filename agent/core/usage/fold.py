"""Folds one event after another, and listings, into usage. Pure: whoever calls it asks the engine and writes to disk.

What an event does not say itself was asked before, and comes with it as `Resolved`. An event that cannot be matched to
an image is `missed`: that is a gap.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from agent.core.images import layers
from agent.core.images.references import familiar
from agent.core.model import Container, Details, Image, Snapshot
from agent.core.usage import attribution, look_inside
from agent.core.usage.arrivals import ImageArrivals, Layers, PendingBuild
from agent.core.usage.attribution import IgnoredContainers, Run
from agent.core.usage.continuity import BlindPeriod
from agent.core.usage.events import COMMIT, EngineEvent
from agent.core.usage.own_removals import OwnRemovals
from agent.core.usage.seen import REMEMBERED, SeenEvents
from agent.core.usage.tracker import UsageTracker

UNSEEN_BUILD = "an image came and went unseen: what it was built on is not known"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was found out about one event. Most image events need nothing."""

    image_id: str | None = None  # the image of a container event or of a pull; None: nobody can say any more
    mounted: tuple[str, ...] | None = None  # IDs of images mounted in the container; None: not known until a listing
    by_name: bool = False  # `image_id` is only what the name in a container event means now
    layers: Layers | None = None  # of the image that was tagged or created
    listing_due: bool = False  # a listing can find out more
    outdated: bool = False  # a pull that was applied before: what its reference means now says nothing about it


NOTHING = Resolved()


class UsageFold:
    """The usage of one engine, as of the events and listings folded so far."""

    def __init__(self, ignored: IgnoredContainers = IgnoredContainers()) -> None:
        """`ignored`: containers whose runs are not uses."""
        self.tracker = UsageTracker()
        self.own = OwnRemovals()
        self.seen = SeenEvents()
        self.images: tuple[Image, ...] = ()  # as last listed
        self.watched = False  # this engine was listed at least once, by this process or another
        self.missed: BlindPeriod | None = None  # from the first to the last use of an image that nobody knows
        self._ignored = ignored
        self._arrivals = ImageArrivals()
        self._removed_looks: dict[str, None] = {}  # containers that looked inside images, and were removed
        self._by_name: dict[str, EngineEvent] = {}  # name -> the last use that only the name shows, until a listing

    def begin(self, tracker: UsageTracker, old_ns: int, *, watched: bool) -> None:
        """A connection begins, with usage as it is on disk. `old_ns`: an earlier process has read up to that time."""
        self.tracker, self.watched = tracker, watched
        self.seen.begin(old_ns)

    def confirm(self) -> list[EngineEvent]:
        """All changes are on disk, with a cursor. Returns the events that they came from."""
        self.watched = True
        return self.seen.confirm()

    @property
    def needs_listing(self) -> bool:
        """Whether the base images of a build wait for the first listing of this process. No cursor may pass it then."""
        return self._arrivals.pending and not self.images

    def layers_of(self, image_id: str) -> Layers | None:
        """The layers of an image that was built or listed, where they are known."""
        return self._arrivals.layers_of(image_id) or self._listed_layers(image_id)

    def may_be_build(self, event: EngineEvent) -> bool:
        """Whether an event may be the end of a build that is not known yet."""
        if event.kind != "image" or event.action not in ("tag", "create"):
            return False
        # before the first listing ever, nothing is known that a build could have used
        return self.watched and not self.seen.is_replay(event) and not self.own.caused(event)

    # Events

    def apply(self, event: EngineEvent, resolved: Resolved, now: datetime, *, again: bool = False) -> bool:
        """Take one event in. Returns whether a listing can find out more.

        `again`: it was applied before, and is newer than the listing since.
        """
        self.seen.add(event)
        if event.action == COMMIT:
            return True
        if event.kind == "container":
            return self._apply_container(event, resolved, now)
        return self._apply_image(event, resolved, now, again=again)

    def _apply_container(self, event: EngineEvent, resolved: Resolved, now: datetime) -> bool:
        known = self.tracker.containers.get(event.actor)
        image_id = known.image_id if known is not None else resolved.image_id
        if known is None and resolved.by_name:
            self._by_name[event.image] = event
        if image_id is None:
            if not self.seen.is_replay(event):
                self._miss(event.at, f"a use of {event.image!r} could not be matched to an image", now)
            return False
        listing_due = resolved.listing_due or image_id not in self.tracker.usages  # it came without an event
        run = Run(name=event.name, image=event.image, image_id=image_id, labels=event.labels)
        pattern = self._ignored.pattern_for(run)
        if pattern and not self.seen.is_replay(event):
            self.tracker.count_ignored(event, image_id, pattern, now)
        ignored = bool(pattern) or self._is_look(event)
        self.tracker.apply_container(event, image_id, now, ignored=ignored, mounted=resolved.mounted)
        return listing_due

    def _is_look(self, event: EngineEvent) -> bool:
        """Whether it makes or removes the container of a look inside an image, which never ran.

        The removal of one may be repeated, when the container is not tracked any more: it counts as it did before.
        """
        known = self.tracker.containers.get(event.actor)
        repeated = known is None and (event.actor in self._removed_looks or self.seen.is_replay(event))
        state = look_inside.NEVER_STARTED if repeated else known.state if known is not None else None
        is_look = look_inside.is_exempt(event.action, event.name, event.labels, state)
        if is_look and event.action == "destroy":
            self._removed_looks[event.actor] = None
            for old in list(self._removed_looks)[:-REMEMBERED]:
                del self._removed_looks[old]
        return is_look

    def _apply_image(self, event: EngineEvent, resolved: Resolved, now: datetime, *, again: bool) -> bool:
        tracker, own = self.tracker, self.own.caused(event)
        if event.action == "tag":
            tracker.apply_tag(event.actor, event.name, event.at, now, own=own)
        elif event.action == "untag" and event.name != event.actor:
            if again or not self.seen.is_replay(event):  # names on disk are newer; an import may name without a tag
                tracker.names.remove(event.name)
        elif event.action == "delete":
            self._apply_delete(event, now)
        elif event.action == "pull":
            self._apply_pull(event, resolved, now)
        elif event.action in ("load", "import", "create"):
            tracker.apply_arrival(event.actor, event.at, now)
        if event.action in ("load", "import"):
            self._arrivals.mark_imported(event.actor)
        if self.may_be_build(event):
            self._apply_build(event, resolved, now)
        return not own

    def _apply_delete(self, event: EngineEvent, now: datetime) -> None:
        if event.actor not in self.tracker.usages and not self.seen.is_replay(event):
            self._miss(event.at, UNSEEN_BUILD, now)
        self.tracker.apply_delete(event.actor)

    def _apply_pull(self, event: EngineEvent, resolved: Resolved, now: datetime) -> None:
        if resolved.outdated:
            return
        if resolved.image_id is None:
            self.tracker.names.remove(familiar(event.actor))
            if not self.seen.is_replay(event):
                self._miss(event.at, f"a pull of {event.actor!r} could not be matched to an image", now)
            return
        self.tracker.apply_pull(resolved.image_id, event.actor, event.at, now)
        self._arrivals.mark_imported(resolved.image_id)

    def _apply_build(self, event: EngineEvent, resolved: Resolved, now: datetime) -> None:
        """Its base images count as used at once: the image may be gone by the next listing."""
        if self._arrivals.mark_built(event.actor, PendingBuild(event.at, resolved.layers)):
            self._touch_bases(event.actor, resolved.layers, event.at, now)

    def _touch_bases(self, image_id: str, found: Layers | None, at: datetime, now: datetime) -> bool:
        """Count a build as a use of its base images. False where the layers of what was built are not known."""
        found = found if found is not None else self._listed_layers(image_id)
        if found is None:
            return False
        others = (image for image in self.images if image.id != image_id)
        for base in layers.base_images(image_id, (*others, Image(id=image_id, details=Details(layers=found)))):
            self.tracker.touch(base, at, f"build of {image_id[7:19]}", now)
        return True

    def _listed_layers(self, image_id: str) -> Layers | None:
        return next((image.details.layers for image in self.images if image.id == image_id and image.details), None)

    def _miss(self, at: datetime, cause: str, now: datetime) -> None:
        """There may have been a use of an image that nobody knows. No image counts as idle since before it.

        Before the first listing ever this is no news: all images are first seen later.
        """
        if not self.watched:
            return
        at = min(at, now)
        known = self.missed or BlindPeriod(at, at, cause)
        latest = cause if at >= known.until else known.cause
        self.missed = BlindPeriod(min(at, known.since), max(at, known.until), latest)

    # Listings

    def attribute(self, container: Container) -> Container:
        """A listed container with whose it is, and whether its runs count."""
        labels = container.labels
        run = Run(name=container.name, image=container.image, image_id=container.image_id, labels=labels)
        looks = container.state == look_inside.NEVER_STARTED and look_inside.is_look(container.name, labels)
        ignored = looks or bool(self._ignored.pattern_for(run))
        return replace(container, by=attribution.describe_container(container.name, labels), ignored=ignored)

    def reconcile(self, listing: Snapshot, now: datetime, *, alive_until: datetime | None, first: bool) -> None:
        """Take a listing as the truth. `first`: none was ever made of this engine."""
        before = {name: self.tracker.names.resolve(name) for name in self._by_name}
        alive, busy = alive_until or now, self.own.in_progress
        new = self.tracker.reconcile(listing, now, alive_until=alive, busy=busy)
        self.images = listing.images
        for image_id, build in self._arrivals.settle(new, now, first=first).items():
            if not self._touch_bases(image_id, build.layers, build.at, now):
                self._miss(build.at, UNSEEN_BUILD, now)
        for name, event in self._by_name.items():
            self._touch_current_target(name, event, before[name], now)
        self._by_name.clear()

    def _touch_current_target(self, name: str, event: EngineEvent, before: str | None, now: datetime) -> None:
        """A name that no event moved means another image now: it may have meant that image when it was used."""
        target = self.tracker.names.resolve(name)
        if target is None or before is None or target == before:
            return
        other = self.tracker.usages.get(target)
        came_later = other is not None and other.first_seen > event.at and (other.arrived or event.at) > event.at
        if not came_later:
            self.tracker.touch(target, event.at, event.name, now)
