"""A decision for each image, and the plan of all decisions. Frozen; times are aware and in UTC."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agent.core.model import Image, Verdict


class Action(StrEnum):
    KEEP = "keep"
    EVICT = "evict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is true of every decision with one reason."""

    words: str = ""  # for people, where an inventory has no sentence; "": `sentence` needs more than the reason
    evicts: bool = False  # the action is EVICT
    pending: bool = False  # the image is kept until a time that is known, and nothing else keeps it


_NONE = Traits()


class Reason(StrEnum):
    """Why an image is kept or evicted. The members stand in the order in which the reasons are tried.

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
    UNKNOWN = "unknown", Traits(words="the engine could not say what it is; kept until it can")
    AMBIGUOUS = "ambiguous", Traits(words="may be PyTorch, but not surely")
    IN_USE = "in-use"
    EXCLUDED = "excluded", Traits(words="kept: images.exclude matches it")
    PINNED = "pinned", Traits(words="kept: it is pinned")
    LABEL_KEEP = "label-keep", Traits(words="kept: its labels say so")
    PROTECTED_TAG = "protected-tag", Traits(words="kept: policy.protect matches it")
    RULE_KEEP = "rule-keep", Traits(words="kept: a rule of the policy says so")
    KEEP_NEWEST = "keep-newest", Traits(words="kept: it is among the newest of its repository")
    LOCAL_ONLY = "local-only", Traits(words="may exist nowhere else: nothing shows a registry that it came from")
    MIN_AGE = (
        "min-age",
        Traits(words="arrived or changed its name lately; kept until policy.min_age ends", pending=True),
    )
    GAP = "gap", Traits(words="its use may have gone unseen in a gap of the watch", pending=True)
    DANGLING = "dangling", Traits(evicts=True)
    DISK_PRESSURE = "disk-pressure", Traits(evicts=True)
    IDLE_TTL = "idle-ttl", Traits(evicts=True)
    HAS_CHILDREN = "has-children", Traits(words="images built on it stay, so the engine would refuse")
    RECENT = "recent", Traits(pending=True)

    @classmethod
    def of(cls, text: str) -> "Reason | None":
        """The reason that a payload names; None where a newer agent has one that is not known here."""
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

    @property
    def mode(self) -> Mode:
        return Mode.of(self.held_by)


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

    @property
    def mode(self) -> Mode:
        return Mode.of(self.held_by)
