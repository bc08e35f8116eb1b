"""Since when an image is idle, and when it is due. Times in the future count as now."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.core import timekeeping
from agent.core.model import Container, Image, Usage
from agent.core.policy import rules
from agent.core.policy.settings import Policy
from agent.core.timekeeping import MachineOff

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleTimes:
    """All times of one image that its decision depends on."""

    running: bool  # whether a container runs whose runs count as uses
    last_used: datetime | None  # now if one runs; None if no use is known
    recorded_use: datetime | None  # the latest recorded use; unlike last_used it stays while a container runs
    last_used_by: str
    idle_since_ignoring_gaps: datetime  # idle_since without the effect of gaps
    idle_since: datetime
    idle: timedelta
    ttl: timedelta
    deadline: datetime  # idle_since + ttl
    seen_deadline: datetime  # the deadline without the effect of gaps
    min_age_ends: datetime  # the end of min_age
    dangling_at: datetime | None  # when an untagged image is due as dangling; None: only its TTL counts
    seen_dangling_at: datetime | None  # the same without the effect of gaps

    @property
    def thresholds(self) -> tuple[datetime, ...]:
        """The moments at which a decision by these times may change."""
        moments = (self.deadline, self.seen_deadline, self.min_age_ends, self.dangling_at, self.seen_dangling_at)
        return tuple(at for at in moments if at is not None)


def times(
    image: Image,
    usage: Usage,
    containers: Iterable[Container],
    policy: Policy,
    now: datetime,
    *,
    protected: bool,
    gap_end: datetime | None,
    absences: Iterable[MachineOff],
) -> IdleTimes:
    """The times of one image. `protected`: a tag, pin, rule or label keeps it; if one did until now, that ends now."""
    using = [container for container in containers if not container.ignored]
    running = any(container.running for container in using)
    recorded_use = _latest([usage.last_used, *(container.last_active for container in using)], now)
    last_used = now if running else recorded_use
    released = now if usage.protected and not protected else usage.released
    absences = tuple(absences)
    seen = timekeeping.exclude_machine_off(
        absences, _latest((last_used, usage.arrived, usage.first_seen, released), now) or now, now
    )
    since = max(seen, timekeeping.exclude_machine_off(absences, min(gap_end, now), now)) if gap_end else seen
    ttl = rules.ttl(image, policy)
    unnamed = min(usage.references_changed or seen, now)
    born = _latest((usage.arrived, usage.first_seen, usage.references_changed), now) or now
    return IdleTimes(
        running=running,
        last_used=last_used,
        recorded_use=recorded_use,
        last_used_by=next(
            (container.by or container.name for container in using if container.running), usage.last_used_by
        ),
        idle_since_ignoring_gaps=seen,
        idle_since=since,
        idle=now - since,
        ttl=ttl,
        deadline=add_saturating(since, ttl),
        seen_deadline=add_saturating(seen, ttl),
        min_age_ends=add_saturating(born, policy.min_age),
        dangling_at=_dangling_at(image, max(since, unnamed), policy),
        seen_dangling_at=_dangling_at(image, max(seen, unnamed), policy),
    )


def add_saturating(at: datetime, by: timedelta) -> datetime:
    """`at + by`, or the largest datetime if that overflows."""
    return at + by if by < NEVER - at else NEVER


def _dangling_at(image: Image, since: datetime, policy: Policy) -> datetime | None:
    if policy.dangling_after is None or not image.dangling:
        return None
    return add_saturating(since, max(policy.dangling_after, rules.label_ttl(image).ttl or timedelta()))


def _latest(times: Iterable[datetime | None], now: datetime) -> datetime | None:
    return max((min(at, now) for at in times if at is not None), default=None)
