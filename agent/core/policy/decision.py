"""A decision for each image, and the plan of all decisions. Frozen; times are aware and in UTC."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from agent.core.model import Image, Verdict


class Action(StrEnum):
    KEEP = "keep"
    EVICT = "evict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The properties of every decision with one reason."""

    words: str = ""  # for people, if an inventory has no explanation; "" if `sentence` needs more than the reason
    evicts: bool = False  # the action is EVICT
    pending: bool = False  # the image is kept only until a known time


_NONE = Traits()


class Reason(StrEnum):
    """Why an image is kept or evicted. The members have the order in which the reasons are checked.

    A new reason is one line here: it carries its traits, so that no other place lists reasons.
    """

    _value_: str
    words: str
    evicts: bool
    pending: bool

    def __new__(cls, value: str, traits: Traits = _NONE) -> "Reason":
        member = str.__new__(cls, value)
        member._value_ = value
        member.words, member.evicts, member.pending = traits.words, traits.evicts, traits.pending
        return member

    NOT_PYTORCH = "not-pytorch", Traits(words="nothing shows that it is a PyTorch image")
    UNKNOWN = "unknown", Traits(words="the engine could not inspect it; kept until it can")
    AMBIGUOUS = "ambiguous", Traits(words="may be PyTorch, but that is not certain")
    IN_USE = "in-use"
    EXCLUDED = "excluded", Traits(words="kept: images.exclude matches it")
    PINNED = "pinned", Traits(words="kept: it is pinned")
    LABEL_KEEP = "label-keep", Traits(words="kept: its labels say so")
    PROTECTED_TAG = "protected-tag", Traits(words="kept: policy.protect matches it")
    RULE_KEEP = "rule-keep", Traits(words="kept: a rule of the policy says so")
    KEEP_NEWEST = "keep-newest", Traits(words="kept: it is among the newest of its repository")
    LOCAL_ONLY = "local-only", Traits(words="possibly the only copy: no registry source is known")
    MIN_AGE = (
        "min-age",
        Traits(words="arrived or was renamed recently; kept until policy.min_age ends", pending=True),
    )
    GAP = "gap", Traits(words="uses may have been missed in a monitoring gap", pending=True)
    DANGLING = "dangling", Traits(evicts=True)
    DISK_PRESSURE = "disk-pressure", Traits(evicts=True)
    IDLE_TTL = "idle-ttl", Traits(evicts=True)
    HAS_CHILDREN = "has-children", Traits(words="images built on it stay, so the engine would refuse to remove it")
    RECENT = "recent", Traits(pending=True)

    @classmethod
    def of(cls, text: str) -> "Reason | None":
        """The reason in a payload; None if it is one of a newer agent that this one does not know."""
        try:
            return cls(text)
        except ValueError:
            return None


class HeldBy(StrEnum):
    """Why an eviction that is due does not happen now."""

    OBSERVE = "observe"
    PAUSED = "paused"
    WINDOW = "window"
    RATE_LIMIT = "rate-limit"
    CLOCK = "clock"
    UNPROVEN = "unproven"
    BACKOFF = "backoff"


class Mode(StrEnum):
    """Whether images are removed, or only reported as what would be removed."""

    ENFORCE = "enforce"
    OBSERVE = "observe"

    @classmethod
    def of(cls, held_by: HeldBy | None) -> "Mode":
        return cls.OBSERVE if held_by is HeldBy.OBSERVE else cls.ENFORCE


class Outcome(StrEnum):
    REMOVED = "removed"
    REFUSED = "refused"
    FAILED = "failed"
    WOULD_REMOVE = "would-remove"


@dataclass(frozen=True, slots=True)
class Step:
    """One reason that was checked for an image."""

    reason: Reason
    answer: str  # why it applies, for people; "" if it does not


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One image, one verdict, one reason, at one time."""

    image: Image
    verdict: Verdict
    action: Action
    reason: Reason
    explanation: str  # one sentence for people
    held_by: HeldBy | None = None
    running: bool = False  # a container of it runs, so it is in use now
    last_used: datetime | None = None
    recorded_use: datetime | None = None  # the latest recorded use; unlike last_used it stays while a container runs
    last_used_by: str = ""
    idle_since: datetime | None = None
    idle_since_ignoring_gaps: datetime | None = None  # the same without gaps; the order of evictions depends on it
    idle: timedelta | None = None
    ttl: timedelta | None = None
    deadline: datetime | None = None  # idle_since + ttl
    due: datetime | None = None  # when it would be evicted, with min_age; None: never by itself
    estimated_bytes: int = 0  # the bytes that its removal alone would free
    protected: bool = False  # a tag, pin, rule, label or keep_newest keeps it
    may_cascade: bool = False  # it may be evicted with the last image built on it: an untagged, idle step of a build
    cascaded: bool = False  # it is evicted only because the last image built on it is
    warnings: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()  # the reasons that were checked for this image alone, up to the one that applies
    failure: str = ""  # why the image could not be read or judged; "" if it could
    # when time alone may change the decision (not its texts); None: unknown
    valid_until: datetime | None = field(default=None, compare=False)

    @property
    def mode(self) -> Mode:
        return Mode.of(self.held_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A decision for every image, at one time. `evictions` has the order of removal, children first."""

    at: datetime
    decisions: tuple[Decision, ...] = ()
    evictions: tuple[Decision, ...] = ()  # the evictions that happen now: due and not held
    held_by: HeldBy | None = None  # why all evictions wait
    opens: datetime | None = None  # when the next window opens, if `held_by` is WINDOW
    under_pressure: bool = False  # whether disk space is a reason to evict now
    pressure: str = ""  # the state of the disk, for people; "": no pressure is set
    shortfall_bytes: int = 0  # under pressure: the bytes that would still have to be freed after all evictions
    deferred: tuple[Decision, ...] = ()  # kept for the grace period, as only a new policy would evict them
    deferred_bytes: int = 0  # the bytes that those would free together
    next_due: datetime | None = None  # when the plan may change only because time passes
    estimated_bytes: int = 0  # the bytes that all evictions together would free

    @property
    def mode(self) -> Mode:
        return Mode.of(self.held_by)
