"""Folds engine events and listings into usage. Pure state: the caller commits the changes.

Times only increase (`max`), so duplicates and late events change nothing. Times in the future count as now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from agent.core import globs
from agent.core.images.references import ReferenceIndex, familiar
from agent.core.model import RUNNING, Container, Image, Snapshot, Usage
from agent.core.usage import attribution, image_mounts
from agent.core.usage.events import EngineEvent, Key

_STATE_AFTER = {"create": "created", "start": "running", "die": "exited"}


@dataclass(frozen=True, slots=True)
class TrackedContainer:
    """A container that exists, with the ID of its image, which stays valid when the image's names change."""

    id: str
    image_id: str
    name: str = ""
    state: str = "exited"
    mounted: tuple[str, ...] | None = None  # IDs of the images mounted in it; None if not known yet
    by: str = field(default="", compare=False)  # its name, project and user, for people
    ignored: bool = field(default=False, compare=False)  # its runs are not uses; decided again at each start

    @property
    def running(self) -> bool:
        return self.state in RUNNING

    @property
    def image_ids(self) -> tuple[str, ...]:
        """All images that it uses: its own, and those mounted in it."""
        return self.image_id, *(self.mounted or ())


@dataclass(frozen=True, slots=True)
class Use:
    """One use, for the history."""

    image_id: str
    container_id: str
    action: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class IgnoredRun:
    """The start of a container whose runs are not uses."""

    image_id: str
    pattern: str  # of usage.ignore_containers, which matches it
    at: datetime
    key: Key  # of its event, which may be replayed


@dataclass(frozen=True, slots=True)
class IgnoredRuns:
    """How many runs of one image a pattern of `usage.ignore_containers` has ignored."""

    pattern: str
    runs: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes that one transaction writes."""

    usages: tuple[Usage, ...] = ()
    containers: tuple[TrackedContainer, ...] = ()
    removed: tuple[str, ...] = ()  # IDs of containers that are gone
    uses: tuple[Use, ...] = ()
    ignored: tuple[IgnoredRun, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.usages or self.containers or self.removed or self.uses or self.ignored)


class UsageTracker:
    """All usage of one engine, as of the events and listings applied so far."""

    def __init__(self, usages: Iterable[Usage] = (), containers: Iterable[TrackedContainer] = ()) -> None:
        self.usages: dict[str, Usage] = {usage.image_id: usage for usage in usages}
        self.containers: dict[str, TrackedContainer] = {container.id: container for container in containers}
        self.names = ReferenceIndex()
        for usage in self.usages.values():
            self.names.add(usage.image_id, usage.references if usage.present else ())
        self._dirty: dict[str, None] = {}
        self._dirty_containers: dict[str, None] = {}
        self._uses: list[Use] = []
        self._gone: set[str] = set()  # images deleted since the last listing was requested
        self._ignored: dict[Key, IgnoredRun] = {}

    def drain_changes(self, *, ignored_runs: bool = True) -> Changes:
        """Return the changes since the last call.

        Ignored runs are counters, so they may only be written together with a cursor after which their events are not
        read again.
        """
        ignored = tuple(self._ignored.values()) if ignored_runs else ()
        changes = Changes(
            usages=tuple(self.usages[image_id] for image_id in self._dirty),
            containers=tuple(self.containers[key] for key in self._dirty_containers if key in self.containers),
            removed=tuple(key for key in self._dirty_containers if key not in self.containers),
            uses=tuple(self._uses),
            ignored=ignored,
        )
        self._dirty, self._dirty_containers, self._uses = {}, {}, []
        for run in ignored:
            del self._ignored[run.key]
        return changes

    def requeue_changes(self, changes: Changes) -> None:
        """Add changes that could not be written to the next ones."""
        self._dirty = dict.fromkeys([usage.image_id for usage in changes.usages]) | self._dirty
        self._dirty_containers = (
            dict.fromkeys([*(tracked.id for tracked in changes.containers), *changes.removed]) | self._dirty_containers
        )
        self._uses = [*changes.uses, *self._uses]
        self._ignored = {run.key: run for run in changes.ignored} | self._ignored

    # Containers

    def apply_container(
        self,
        event: EngineEvent,
        image_id: str,
        now: datetime,
        *,
        ignored: bool = False,
        mounted: tuple[str, ...] | None = None,
    ) -> None:
        """Apply a container's create, start, die or destroy: a use of its images, unless its runs are ignored.

        `mounted`: the IDs of the images mounted in it, used only if they are not known yet.
        """
        by = attribution.describe_container(event.name, event.labels)
        before = self.containers.get(event.actor)
        mounted = before.mounted if before is not None and before.mounted is not None else mounted
        tracked = TrackedContainer(
            event.actor, image_id, event.name, _STATE_AFTER.get(event.action, ""), mounted, by, ignored
        )
        if not ignored:
            at = min(event.at, now)
            self._uses.append(Use(image_id, event.actor, event.action, at, by))
            self._touch_all(tracked, at, now)
        if event.action == "destroy":
            self._untrack(event.actor)
        else:
            self._track(tracked)

    def count_ignored(self, event: EngineEvent, image_id: str, pattern: str, now: datetime) -> None:
        """Count a run that a pattern ignores, at its start, and only once if its event is applied again."""
        if event.action == "start":
            self._ignored[event.key] = IgnoredRun(image_id, pattern, min(event.at, now), event.key)

    def touch(self, image_id: str, at: datetime, by: str, now: datetime) -> None:
        """Record a use. For an unknown image, it is also when the image was first seen."""
        usage = self.usages.get(image_id) or Usage(image_id=image_id, first_seen=now, present=False)
        if usage.last_used is None or at >= usage.last_used:
            self._put(replace(usage, last_used=min(at, now), last_used_by=by))
        elif image_id not in self.usages:
            self._put(usage)

    def _touch_all(self, tracked: TrackedContainer, at: datetime, now: datetime) -> None:
        for image_id in tracked.image_ids:
            self.touch(image_id, at, tracked.by or tracked.name, now)

    def _track(self, tracked: TrackedContainer) -> None:
        if self.containers.get(tracked.id) != tracked:
            self._dirty_containers[tracked.id] = None
        self.containers[tracked.id] = tracked

    def _untrack(self, container_id: str) -> None:
        if self.containers.pop(container_id, None) is not None:
            self._dirty_containers[container_id] = None

    # Images

    def apply_tag(self, image_id: str, reference: str, at: datetime, now: datetime, *, own: bool) -> None:
        """Record that a reference now points to this image. No other event reports that another image lost it."""
        reference, at = familiar(reference), min(at, now)
        loser = self.names.point(reference, image_id)
        if own:
            return
        self._arrive(image_id, at, now, gained=reference)
        if loser is not None and loser in self.usages:
            self._change_references(self.usages[loser], now, without=reference)

    def apply_pull(self, image_id: str, reference: str, at: datetime, now: datetime) -> None:
        """Record that the image was pulled, even if it was up to date already."""
        self.apply_tag(image_id, reference, at, now, own=False)
        self._put(replace(self.usages[image_id], pulled=True))

    def apply_arrival(self, image_id: str, at: datetime, now: datetime) -> None:
        """Record that the image arrived by a load or an import."""
        self._arrive(image_id, min(at, now), now)

    def apply_delete(self, image_id: str) -> None:
        self._gone.add(image_id)
        usage = self.usages.get(image_id)
        if usage is not None and usage.present:
            self._put(replace(usage, present=False, references=(), pulled=False))

    def protect(self, image_id: str, protected: bool, now: datetime) -> None:
        """Record whether anything protects the image; `released` is when the last protection ended."""
        usage = self.usages.get(image_id)
        if usage is not None and usage.protected != protected:
            released = usage.released if protected else now
            self._put(replace(usage, protected=protected, released=released))

    def _arrive(self, image_id: str, at: datetime, now: datetime, gained: str = "") -> None:
        usage = self.usages.get(image_id) or Usage(image_id=image_id, first_seen=now)
        arrived = at if usage.arrived is None else max(usage.arrived, at)
        self._gone.discard(image_id)
        self._put(replace(usage, arrived=arrived, present=True))
        if gained and gained not in usage.references:
            self._change_references(self.usages[image_id], now, gained=gained)

    def _change_references(self, usage: Usage, now: datetime, *, gained: str = "", without: str = "") -> None:
        kept = {reference for reference in (*usage.references, gained) if reference and reference != without}
        self._set_references(usage, kept, now)

    def _set_references(self, usage: Usage, references: Iterable[str], now: datetime) -> None:
        """Set the references. A change counts from now, as later events may be missing when an old pull is replayed.

        A digest reference that only repeats a tag is not a change: a push of the tag must not restart `min_age`.
        """
        references, changed = tuple(sorted(references)), usage.references_changed
        if {*globs.standalone(references)} != {*globs.standalone(usage.references)}:
            changed = now if changed is None else max(changed, now)
        self._put(replace(usage, references=references, references_changed=changed))

    def _put(self, usage: Usage) -> None:
        if self.usages.get(usage.image_id) != usage:
            self.usages[usage.image_id] = usage
            self._dirty[usage.image_id] = None

    # Listings

    def begin_listing(self) -> None:
        """Call this before requesting a listing: images that are deleted from here on may still be in it."""
        self._gone.clear()

    def reconcile(
        self, snapshot: Snapshot, now: datetime, *, alive_until: datetime, busy: frozenset[str]
    ) -> tuple[str, ...]:
        """Make the state agree with a full listing. Returns the IDs of images that were not seen before.

        `alive_until`: when the agent last knew the engine's state; a container that is gone since then was used until
        then at least (a gap covers the rest). `busy`: images that the agent itself is untagging now.
        """
        images = tuple(image for image in snapshot.images if image.id not in self._gone)
        snapshot = replace(snapshot, images=images)
        known = {tracked.id: tracked.mounted for tracked in self.containers.values()}
        mounted = image_mounts.mounted(snapshot, self.names, self.usages.values(), known)
        new = tuple(image.id for image in snapshot.images if self._observe_image(image, now, busy))
        listed = {image.id for image in snapshot.images}
        for usage in [usage for usage in self.usages.values() if usage.present and usage.image_id not in listed]:
            self.apply_delete(usage.image_id)
        containers = {item.id: item for item in snapshot.containers}
        self._reconcile_containers(containers, mounted, now, alive_until, listed_at=snapshot.at)
        self.names.replace(snapshot.images)
        return new

    def _observe_image(self, image: Image, now: datetime, busy: frozenset[str]) -> bool:
        usage, references = self.usages.get(image.id), tuple(sorted(image.all_references))
        if usage is None:
            self._put(Usage(image_id=image.id, first_seen=now, references=references))
            return True
        if not usage.present:  # it arrived (again) without an event
            self._put(replace(usage, present=True, arrived=now, references=references))
            return True
        if image.id not in busy:
            self._set_references(usage, references, now)
        return False

    def _reconcile_containers(
        self,
        listed: Mapping[str, Container],
        mounted: Mapping[str, tuple[str, ...]],
        now: datetime,
        alive_until: datetime,
        *,
        listed_at: datetime,
    ) -> None:
        for container in listed.values():
            before, tracked = self.containers.get(container.id), _tracked(container, mounted[container.id])
            at = listed_at if container.running else container.last_active
            if (
                at is not None
                and (before is None or not container.running or not before.running)
                and not tracked.ignored
            ):
                self._touch_all(tracked, min(at, now), now)
            self._track(tracked)
        for gone in [tracked for tracked in self.containers.values() if tracked.id not in listed]:
            if gone.running and not gone.ignored:
                self._touch_all(gone, min(alive_until, now), now)
            self._untrack(gone.id)


def _tracked(listed: Container, mounted: tuple[str, ...]) -> TrackedContainer:
    return TrackedContainer(listed.id, listed.image_id, listed.name, listed.state, mounted, listed.by, listed.ignored)
