"""The facts: images, containers, usage, policy, decisions. Frozen; times are aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from agent.core import globs
from agent.core.policy.schedule import Schedule

RUNNING = ("running", "paused", "restarting")  # states of a container that is used now


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """One line of an image's build history; the base image's come first."""

    created_by: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What inspect and history say of an image. It never changes for a given image ID."""

    layers: tuple[str, ...] = ()  # diff IDs, base first
    parent: str = ""  # the image it was built on, by the classic builder only
    created: datetime | None = None  # build time; never a last use
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    history: tuple[HistoryStep, ...] = ()
    packed_bytes: int | None = 0  # compressed layers that the store keeps besides; None: it does not report them
    left_out: tuple[str, ...] = ()  # what of it was too long to read, in words (`bounds.bounded`)
    committed: bool = False  # made by `docker commit`, as far as anybody can tell: it may exist nowhere else


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image as the engine lists it now."""

    id: str  # full, with its algorithm: "sha256:..."
    references: tuple[str, ...] = ()  # its tags: "repository:tag", familiar form, sorted
    digests: tuple[str, ...] = ()  # "repository@sha256:..."
    origin: str | None = None  # a digest reference it can be pulled again by; None: nothing proves one
    size_bytes: int = 0
    details: Details | None = None  # None: the inspect failed, so it is unknown, and kept
    unreadable: str = ""  # why what the engine says of it cannot be read; then it has no details

    @property
    def untagged(self) -> bool:
        """Whether no name at all means it, by tag or digest."""
        return not self.references and not self.digests

    @property
    def all_references(self) -> tuple[str, ...]:
        """Its tags and its digest references."""
        return *self.references, *self.digests

    @property
    def standalone(self) -> tuple[str, ...]:
        """Its references without the digest references that only repeat a tag."""
        return globs.standalone(self.all_references)

    @property
    def dangling(self) -> bool:
        """Whether `cleanup.dangling_after` is about it: nothing names it, and `docker commit` did not make it."""
        return self.untagged and self.details is not None and not self.details.committed

    @property
    def parent(self) -> str:
        """The image that it was built on, by the classic builder; "" where none is known."""
        return self.details.parent if self.details is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container, in any state: it holds its image for as long as it exists."""

    id: str
    image_id: str
    name: str = ""
    state: str = "exited"  # created, running, paused, restarting, removing, exited, dead
    last_active: datetime | None = None  # the end of its last run, else its start or creation
    image_mounts: tuple[str, ...] = ()  # images mounted with type=image: by ID, or as whoever made it named them
    image: str = ""  # as whoever made it named it
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)
    by: str = ""  # who that is, for people: its name, Compose project and user
    ignored: bool = False  # it holds its image and is no use of it: a scanner's

    @property
    def running(self) -> bool:
        return self.state in RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All images and all containers of one engine, as listed at one time."""

    at: datetime
    images: tuple[Image, ...] = ()
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the agent knows of the life of one image on this host."""

    image_id: str
    first_seen: datetime
    arrived: datetime | None = None  # pull, load, import or tag by others than the agent
    last_used: datetime | None = None
    last_used_by: str = ""  # the container of the last use
    released: datetime | None = None  # when the last protection ended
    protected: bool = False  # whether a protection held it when last asked
    references: tuple[str, ...] = ()  # tags and digest references as last seen, sorted
    references_changed: datetime | None = None  # when a tag, or a digest reference without one, came or went
    pulled: bool = False  # the agent itself saw it pulled
    present: bool = True  # whether it was there when last listed


class Class(StrEnum):
    PYTORCH = "pytorch"
    AMBIGUOUS = "ambiguous"
    OTHER = "other"


class Strength(StrEnum):
    STRONG = "strong"
    MEDIUM = "medium"
    WEAK = "weak"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sign that an image is, or is not clearly, a PyTorch image."""

    kind: str  # env, label, history, repository, entrypoint, lineage, name, known, layers
    strength: Strength
    text: str  # for people: 'ENV PYTORCH_VERSION=2.9.0'
    fact: str = ""  # what it rests on: vLLM's variable and its program are one fact; "": on nothing that another tells

    @property
    def rests_on(self) -> str:
        return self.fact or self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an image is, and on what evidence."""

    kind: Class
    evidence: tuple[Evidence, ...] = ()
    torch_version: str | None = None  # "2.9.0"; None: not told
    accelerator: str | None = None  # "cuda11.8", "rocm6.1", "cpu"; None: not told
    history_version: str | None = None  # the torch that the build history installed
    history_accelerator: str | None = None
    left_out: tuple[str, ...] = ()  # what of it was too long to read; then it is never surely PyTorch
    failure: str = ""  # why it could not be judged; then it is unknown, and kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A `[[policy.rules]]` entry. Exactly what it names is overridden."""

    match: str  # a pattern on references, as `globs` reads it
    ttl: timedelta | None = None
    keep: bool = False
    keep_newest: int | None = None
    evict_local: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """When disk space itself is a reason: shares of the engine's file system, or bytes of images; all None: never."""

    high: float | None = None  # above this share, 0 to 1, evict
    low: float | None = None  # until it is not above this one
    budget: int | None = None  # bytes of all images' layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How gently; None: no limit."""

    evictions_per_sweep: int | None = None
    bytes_per_hour: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What may be evicted, and when."""

    ttl: timedelta = timedelta(days=14)
    min_age: timedelta = timedelta(hours=1)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    known: tuple[str, ...] = ()  # the operator's own names of PyTorch images
    protect: tuple[str, ...] = ("*:latest", "*:stable")
    keep_newest: int = 0  # of each repository, scheme, flavour and accelerator; by build time where no version is told
    rules: tuple[Rule, ...] = ()
    evict_local: bool = False
    evict_ambiguous: bool = False
    dangling_after: timedelta | None = None  # for images without any name; None: the ordinary TTL
    build_cache_after: timedelta | None = None  # for the engine's build cache; None: it stays
    pressure: Pressure = Pressure()
    schedule: Schedule = Schedule()
    observe: bool = False
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A promise to keep an image, by reference and by ID."""

    id: str  # the image's ID when it was pinned, or its first digits, written by hand; "" where only a name was written
    reference: str  # what the person wrote, as a reference; "" where it was pinned by ID
    at: datetime
    until: datetime | None = None  # its end, also that of one taken back; None: for good
    reason: str = ""

    def over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now

    def means(self, image: Image) -> bool:
        """By what it named then, and by what that name is now. The start of an ID means every image that has it."""
        by_id = bool(self.id) and image.id.startswith(self.id)
        return by_id or self.reference in image.all_references


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Pins and the pause. `readable` is False where their file could not be read: then nothing is evicted."""

    pins: tuple[Pin, ...] = ()
    paused: bool = False
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    pause_reason: str = ""
    readable: bool = True


class Action(StrEnum):
    KEEP = "keep"
    EVICT = "evict"


class Reason(StrEnum):
    """In the order in which they are asked, HAS_CHILDREN and RECENT last."""

    NOT_PYTORCH = "not-pytorch"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"
    IN_USE = "in-use"
    EXCLUDED = "excluded"
    PINNED = "pinned"
    LABEL_KEEP = "label-keep"
    PROTECTED_TAG = "protected-tag"
    RULE_KEEP = "rule-keep"
    KEEP_NEWEST = "keep-newest"
    LOCAL_ONLY = "local-only"
    MIN_AGE = "min-age"
    GAP = "gap"
    DANGLING = "dangling"
    DISK_PRESSURE = "disk-pressure"
    IDLE_TTL = "idle-ttl"
    HAS_CHILDREN = "has-children"
    RECENT = "recent"


class HeldBy(StrEnum):
    """Why an eviction that is due does not happen now."""

    OBSERVE = "observe"
    PAUSED = "paused"
    WINDOW = "window"
    RATE_LIMIT = "rate-limit"
    CLOCK = "clock"
    UNPROVEN = "unproven"
    BACKOFF = "backoff"


class Outcome(StrEnum):
    REMOVED = "removed"
    REFUSED = "refused"
    FAILED = "failed"
    WOULD_REMOVE = "would-remove"


@dataclass(frozen=True, slots=True)
class Step:
    """One question on the way to a decision."""

    reason: Reason
    answer: str  # why it decides, for people; "": it does not apply


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One image, one verdict, one reason, at one time."""

    image: Image
    verdict: Verdict
    action: Action
    reason: Reason
    explanation: str  # one sentence for people
    held_by: HeldBy | None = None
    running: bool = False  # a container of it runs, so that it is used now
    last_used: datetime | None = None
    recorded_use: datetime | None = None  # the latest recorded use; unlike last_used it stays while a container runs
    last_used_by: str = ""
    idle_since: datetime | None = None
    idle_since_ignoring_gaps: datetime | None = (
        None  # the same without regard to gaps: what the order of evictions rests on
    )
    idle: timedelta | None = None
    ttl: timedelta | None = None
    deadline: datetime | None = None  # idle_since + ttl
    due: datetime | None = None  # when it would go, min_age included; None: never by itself
    estimated_bytes: int = 0  # what its removal alone would free
    protected: bool = False  # a tag, pin, rule, label or keep_newest keeps it
    may_cascade: bool = False  # it goes with the last image built on it: an untagged step of a build, itself idle
    cascaded: bool = False  # it goes only because the last image that was built on it goes
    warnings: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()  # what was asked of this image by itself, up to the first answer
    failure: str = ""  # why the image could not be read or judged; "": it could


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A decision for every image, at one time. `evictions` stand in the order of removal, children first."""

    at: datetime
    decisions: tuple[Decision, ...] = ()
    evictions: tuple[Decision, ...] = ()  # due and not held
    held_by: HeldBy | None = None  # what holds every eviction
    opens: datetime | None = None  # where `hold` is the window: when the next one opens
    under_pressure: bool = False  # whether disk space is a reason to evict now
    pressure: str = ""  # the state of the disk, for people; "": no pressure is set
    shortfall_bytes: int = 0  # under pressure: what would still be wanting after every eviction
    deferred: tuple[Decision, ...] = ()  # kept for a while, for only a policy that is new would evict them
    deferred_bytes: int = 0  # what those would free together
    next_due: datetime | None = None  # when the plan may change by the mere passing of time
    estimated_bytes: int = 0  # what all `action == evict` together would free
