"""A decision for each image, and the plan of all decisions. Frozen; times are aware and in UTC."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agent.core.model import Image, Verdict


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
