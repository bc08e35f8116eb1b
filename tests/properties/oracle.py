"""The naive oracle: it knows every use with its true time, every protection, and when the machine was off.

It answers from tables written by hand, never from the code under test.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.core.model import Image
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Policy, Rule

DAY = timedelta(days=1)
MIN_AGE = timedelta(hours=1)
POLICY = Policy(
    ttl=7 * DAY,
    min_age=MIN_AGE,
    exclude=("*/prod/*",),
    protect=("*:stable",),
    rules=(
        Rule(match="ci/*", ttl=2 * DAY),
        Rule(match="*/slow:*", ttl=20 * DAY),
        Rule(match="kept/*", keep=True),
        Rule(match="scratch/*", evict_local=True),
    ),
)
TTL_OF = {  # what POLICY means for each name
    "team/a:1": 7 * DAY,
    "team/b:1": 7 * DAY,
    "ci/a:1": 2 * DAY,
    "ci/b:1": 2 * DAY,
    "ci/slow:1": 20 * DAY,
    "scratch/a:1": 7 * DAY,
    "scratch/b:1": 7 * DAY,
    "team/a:stable": 7 * DAY,
    "x/prod/a:1": 7 * DAY,
    "kept/a:1": 7 * DAY,
}
TAGS = tuple(TTL_OF)
TTL_OF_DIGEST = {  # and for a digest reference of each repository, where the image has no tag in it
    **dict.fromkeys(("team/a", "team/b", "scratch/a", "scratch/b", "x/prod/a", "kept/a"), 7 * DAY),
    **dict.fromkeys(("ci/a", "ci/b"), 2 * DAY),
    "ci/slow": 20 * DAY,
}
PROTECTED = {"team/a:stable", "x/prod/a:1", "kept/a:1", "x/prod/a", "kept/a"}
LOCAL_MAY_GO = {"scratch/a:1", "scratch/b:1", "scratch/a", "scratch/b"}
LABEL_TTL = {"30d": 30 * DAY, "1d": DAY}
LONGEST_TTL = 30 * DAY


@dataclass(slots=True)
class Life:
    """What truly happened to one image."""

    uses: list[datetime] = field(default_factory=list)  # and arrivals
    renamed: datetime | None = None
    released: datetime | None = None
    protection_seen: bool = False  # the agent looked while a protection held


class Oracle:
    """All that is true of the images' lives."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.off: list[tuple[datetime, datetime]] = []  # when the machine was off
        self.lineage: dict[str, tuple[str, ...]] = {}  # image -> what it was built on, nearest first
        self._unlisted: dict[str, datetime] = {}  # builds that only a listing can show
        self._by_mount: dict[str, list[tuple[str, datetime]]] = {}  # container -> uses of the images mounted in it

    def life(self, image_id: str) -> Life:
        return self.lives.setdefault(image_id, Life())

    # What happens

    def used(self, image_ids: Iterable[str], at: datetime) -> None:
        for image_id in image_ids:
            self.life(image_id).uses.append(at)

    def used_by_mount(self, box_id: str, image_ids: Iterable[str], at: datetime) -> None:
        self.used(image_ids, at)
        self._by_mount.setdefault(box_id, []).extend((image_id, at) for image_id in image_ids)

    def lose_mounts(self, box_id: str) -> None:
        """A container came and went before anybody could ask what is mounted in it: no event tells."""
        for image_id, at in self._by_mount.pop(box_id, []):
            if at in self.life(image_id).uses:
                self.life(image_id).uses.remove(at)

    def arrived(self, image_id: str, at: datetime) -> None:
        self.used([image_id], at)

    def renamed(self, image_id: str, at: datetime) -> None:
        self.life(image_id).renamed = at

    def built(self, image_id: str, at: datetime) -> None:
        """Without a container: what shows it is the image itself, if it is still there when it is listed."""
        self._unlisted[image_id] = at

    def listed(self) -> None:
        for image_id, at in self._unlisted.items():
            self.used(self.lineage.get(image_id, ()), at)
        self._unlisted.clear()

    def gone(self, image_id: str) -> None:
        self._unlisted.pop(image_id, None)

    def forgive(self, since: datetime, until: datetime) -> None:
        """Uses, and builds that nothing but a lost event told of, in a time that the design lets go unseen."""
        self._unlisted = {key: at for key, at in self._unlisted.items() if not since < at <= until}
        for life in self.lives.values():
            life.uses = [at for at in life.uses if not since < at <= until] or life.uses
            life.renamed = None if life.renamed and since < life.renamed <= until else life.renamed

    def see_protections(self, images: Iterable[Image], holds: Overrides, wall: datetime) -> None:
        """The agent makes a plan now, so it knows what is protected."""
        for image in images:
            self.life(image.id).protection_seen |= protected(image, holds.pins, wall)

    def end_protections(self, images: Iterable[Image], holds: Overrides, wall: datetime, now: datetime) -> None:
        """Note which protections are over. The end of one that the agent never saw says nothing."""
        for image in images:
            life = self.life(image.id)
            if life.protection_seen and not protected(image, holds.pins, wall):
                life.released, life.protection_seen = now, False

    # What is true

    def idle(self, image_id: str, now: datetime) -> timedelta:
        life = self.life(image_id)
        since = max(at for at in (*life.uses, life.released) if at is not None)
        long_off = [(max(start, since), end) for start, end in self.off if end - start > DAY and end > since]
        return now - since - sum((end - start for start, end in long_off), timedelta())

    def due(self, image: Image, now: datetime) -> bool:
        renamed = self.life(image.id).renamed
        settled = renamed is None or now - renamed >= MIN_AGE
        return settled and self.idle(image.id, now) >= ttl(image)

    def goes(
        self, images: Mapping[str, Image], held: set[str], holds: Overrides, wall: datetime, now: datetime | None
    ) -> set[str]:
        """What a sweep evicts that knows everything. `now` None: after any time at all."""

        def one(image: Image) -> bool:
            children = [item for item in images.values() if item.details and item.details.parent == image.id]
            if image.id in held or not is_pytorch(image) or protected(image, holds.pins, wall):
                return False
            if not all(one(child) for child in children):
                return False
            return (bool(children) and self.is_idle_step(image, now)) or (
                may_go(image) and (now is None or self.due(image, now))
            )

        return {image.id for image in images.values() if one(image)}

    def is_idle_step(self, image: Image, now: datetime | None) -> bool:
        """An untagged image that a builder made, not used for its own TTL. `now` None: after any time at all."""
        assert image.details is not None
        named = bool(image.references or image.digests)
        return not named and not image.details.committed and (now is None or self.due(image, now))


def ttl(image: Image) -> timedelta:
    assert image.details is not None
    by_name = [(TTL_OF | TTL_OF_DIGEST)[name] for name in names(image)] or [7 * DAY]
    return max(*by_name, LABEL_TTL.get(image.details.labels.get("torchkeeper.ttl", ""), timedelta()))


def repository(reference: str) -> str:
    """What stands before the tag or the digest; no name here has a port."""
    return reference.partition("@")[0].partition(":")[0]


def names(image: Image) -> set[str]:
    """Its tags, and the repositories of digest references in which it has no tag."""
    tagged = {*map(repository, image.references)}
    return {*image.references, *({*map(repository, image.digests)} - tagged)}


def is_pytorch(image: Image) -> bool:
    return image.details is not None and "PYTORCH_VERSION" in image.details.env


def protected(image: Image, pins: Iterable[Pin], wall: datetime) -> bool:
    assert image.details is not None
    live = [pin for pin in pins if pin.until is None or wall < pin.until]
    pinned = any(pin.id == image.id or pin.reference in image.references for pin in live)
    return pinned or bool(PROTECTED & names(image)) or "torchkeeper.keep" in image.details.labels


def may_go(image: Image) -> bool:
    """It can be pulled again, or nobody minds."""
    return image.origin is not None or (bool(names(image)) and names(image) <= LOCAL_MAY_GO)
