"""Folds events and listings into usage. Pure: the caller queries the engine and writes to disk.

The caller looks up facts that an event does not contain, and passes them as `Resolved`. If an event cannot be matched
to an image, `missed` covers its time, and the caller records a gap.
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
    """The facts that were looked up for one event. Most image events need none."""

    image_id: str | None = None  # the image of a container event or of a pull; None: unknown
    mounted: tuple[str, ...] | None = None  # IDs of images mounted in the container; None: unknown until a listing
    by_name: bool = False  # `image_id` is only the image that the event's image name points to
    layers: Layers | None = None  # of the tagged or created image
    listing_due: bool = False  # a listing can complete these facts
    outdated: bool = False  # a pull applied before: its reference may point to another image now


NOTHING = Resolved()


class UsageFold:
    """The usage of one engine, as of the events and listings folded so far."""

    def __init__(self, ignored: IgnoredContainers = IgnoredContainers()) -> None:
        """`ignored`: containers whose runs are not uses."""
        self.tracker = UsageTracker()
        self.own = OwnRemovals()
        self.seen = SeenEvents()
        self.images: tuple[Image, ...] = ()  # as last listed
        self.watched = False  # some process of the agent has listed this engine before
        self.missed: BlindPeriod | None = None  # from the first to the last event without a known image
        self.ignored = ignored
        self._arrivals = ImageArrivals()
        self._removed_looks: dict[str, None] = {}  # removed containers of looks inside images
        self._by_name: dict[str, EngineEvent] = {}  # image name -> the last use matched by name only, until a listing

    def begin(self, tracker: UsageTracker, old_ns: int, *, watched: bool) -> None:
        """Start a connection with the usage from disk. `old_ns`: the changes of events up to then are on disk."""
        self.tracker, self.watched = tracker, watched
        self.seen.begin(old_ns)

    def confirm(self) -> list[EngineEvent]:
        """Record that all changes are on disk. Returns the events that caused them."""
        self.watched = True
        return self.seen.confirm()

    @property
    def needs_listing(self) -> bool:
        """Whether base images of a build are unresolved until the first listing. The cursor must not pass it then."""
        return self._arrivals.pending and not self.images

    def layers_of(self, image_id: str) -> Layers | None:
        """The layers of an image that was built or listed; None if unknown."""
        return self._arrivals.layers_of(image_id) or self._listed_layers(image_id)

    def may_be_build(self, event: EngineEvent) -> bool:
        """Whether an event may come from a build that is not recorded yet."""
        if event.kind != "image" or event.action not in ("tag", "create"):
            return False
        # before the first listing ever, no base image is known
        return self.watched and not self.seen.is_replay(event) and not self.own.caused(event)

    # Events

    def apply(self, event: EngineEvent, resolved: Resolved, now: datetime, *, again: bool = False) -> bool:
        """Apply one event. Returns whether a new listing is needed to complete its facts.

        `again`: it was applied before the last listing, and is newer than that listing.
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
        listing_due = resolved.listing_due or image_id not in self.tracker.usages  # the image arrived without an event
        run = Run(name=event.name, image=event.image, image_id=image_id, labels=event.labels)
        pattern = self.ignored.pattern_for(run)
        if pattern and not self.seen.is_replay(event):
            self.tracker.count_ignored(event, image_id, pattern, now)
        ignored = bool(pattern) or self._is_look(event)
        self.tracker.apply_container(event, image_id, now, ignored=ignored, mounted=resolved.mounted)
        return listing_due

    def _is_look(self, event: EngineEvent) -> bool:
        """Whether the event creates or removes a container of a look inside an image. Such a container never runs.

        A removal event may be replayed when the container is not tracked any more; the result is then the same.
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
            # for a replay, the stored names are newer; an import may have added a name without a tag event
            if again or not self.seen.is_replay(event):
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
        """Count a build as a use of its base images at once, as the image may be gone by the next listing."""
        if self._arrivals.mark_built(event.actor, PendingBuild(event.at, resolved.layers)):
            self._touch_bases(event.actor, resolved.layers, event.at, now)

    def _touch_bases(self, image_id: str, found: Layers | None, at: datetime, now: datetime) -> bool:
        """Count a build as a use of its base images. Returns False if the layers of the built image are unknown."""
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
        """Record a possible use of an unknown image: no image counts as idle since before it.

        Not needed before the first listing ever: all images are first seen later than that.
        """
        if not self.watched:
            return
        at = min(at, now)
        known = self.missed or BlindPeriod(at, at, cause)
        latest = cause if at >= known.until else known.cause
        self.missed = BlindPeriod(min(at, known.since), max(at, known.until), latest)

    # Listings

    def attribute(self, container: Container) -> Container:
        """A listed container with its owner, and whether its runs count as uses."""
        labels = container.labels
        run = Run(name=container.name, image=container.image, image_id=container.image_id, labels=labels)
        looks = container.state == look_inside.NEVER_STARTED and look_inside.is_look(container.name, labels)
        ignored = looks or bool(self.ignored.pattern_for(run))
        return replace(container, by=attribution.describe_container(container.name, labels), ignored=ignored)

    def reconcile(self, listing: Snapshot, now: datetime, *, alive_until: datetime | None, first: bool) -> None:
        """Make the usage agree with a listing. `first`: it is the first listing ever of this engine."""
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
        """Also count the use for the image that the name points to now: the name may have moved before the use."""
        target = self.tracker.names.resolve(name)
        if target is None or before is None or target == before:
            return
        other = self.tracker.usages.get(target)
        came_later = other is not None and other.first_seen > event.at and (other.arrived or event.at) > event.at
        if not came_later:
            self.tracker.touch(target, event.at, event.name, now)
