"""The policy: what may be evicted, and when."""

from dataclasses import dataclass
from datetime import timedelta

from agent.core.policy.schedule import Schedule


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
