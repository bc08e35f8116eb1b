"""The policy: what may be evicted, and when."""

from dataclasses import dataclass
from datetime import timedelta

from agent.core.policy.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A `[[policy.rules]]` entry. It overrides only the settings that it has."""

    match: str  # a pattern on references, as `globs` reads it
    ttl: timedelta | None = None
    keep: bool = False
    keep_newest: int | None = None
    evict_local: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """When disk space is a reason to evict: fractions of the engine's file system, or bytes of images. None: never."""

    high: float | None = None  # evict above this used fraction, 0 to 1
    low: float | None = None  # until it is no longer above this one
    budget: int | None = None  # bytes of all images' layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be evicted at once; None: no limit."""

    evictions_per_sweep: int | None = None
    bytes_per_hour: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What may be evicted, and when."""

    ttl: timedelta = timedelta(days=14)
    min_age: timedelta = timedelta(hours=1)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    known: tuple[str, ...] = ()  # names of PyTorch images that the operator lists
    protect: tuple[str, ...] = ("*:latest", "*:stable")
    keep_newest: int = (
        0  # of each repository, scheme, flavour and accelerator; by build time for tags without a version
    )
    rules: tuple[Rule, ...] = ()
    evict_local: bool = False
    evict_ambiguous: bool = False
    dangling_after: timedelta | None = None  # for images without any name; None: the ordinary TTL
    build_cache_after: timedelta | None = None  # for the engine's build cache; None: it is never pruned
    pressure: Pressure = Pressure()
    schedule: Schedule = Schedule()
    observe: bool = False
    limits: Limits = Limits()
