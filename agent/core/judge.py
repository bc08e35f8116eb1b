"""The decision for one image: the questions in the order of `Reason`, and the first that applies.

Only a parent's reason may change after this (`families`), and only in the sight of all images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agent.core import rules, timekeeping, units
from agent.core.limits import Freed
from agent.core.model import Action, Class, Container, Decision, Holds, Image, Policy, Reason, Usage, Verdict
from agent.core.timekeeping import Absence


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What bears on a plan beside the images: the operator's holds, and how well the agent has seen."""

    holds: Holds = Holds()
    proven: bool = True  # the stream is live, proven without an unrecorded hole, and read to its end
    clock_trusted: bool = True  # the wall clock has not jumped lately
    gap_end: datetime | None = None  # the end of the last gap over the tolerance
    absences: tuple[Absence, ...] = ()  # when the machine was off for more than a day
    freed: tuple[Freed, ...] = ()  # what was evicted in the last hour
    backoff: Mapping[str, datetime] = field(default_factory=dict)  # image ID -> not before


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One image, and all that its decision rests on."""

    image: Image
    verdict: Verdict
    usage: Usage
    holders: tuple[Container, ...]
    policy: Policy
    now: datetime
    context: Context
    estimated_bytes: int

    def answer(self) -> Decision:
        reason, why = self._keep() or self._time()
        evict = reason is Reason.IDLE_TTL
        warning = rules.label_ttl(self.image).error
        return Decision(
            image=self.image,
            verdict=self.verdict,
            action=Action.EVICT if evict else Action.KEEP,
            reason=reason,
            explanation=why,
            last_used=self._last_used,
            last_used_by=self._last_used_by,
            idle_since=self._idle_since,
            idle=self._idle,
            ttl=self._ttl,
            deadline=self._deadline,
            due=self._due if reason in _RIPENING else None,
            estimated_bytes=self.estimated_bytes,
            protected=self._protection is not None,
            warnings=(warning,) if warning else (),
        )

    def _keep(self) -> tuple[Reason, str] | None:
        """The first reason to keep it that is not a matter of waiting for its TTL."""
        if self.image.details is None:
            return Reason.UNKNOWN, "the engine could not say what it is; kept until it can"
        if self.verdict.kind is Class.OTHER:
            return Reason.NOT_PYTORCH, "nothing shows that it is a PyTorch image"
        if not rules.recognised(self.image, self.verdict, self.policy):
            return Reason.AMBIGUOUS, f"may be PyTorch, but not surely: {self.verdict.evidence[0].text}"
        if self.holders:
            return Reason.IN_USE, _in_use(self.holders)
        if self._protection is not None:
            reason, clause = self._protection
            return reason, f"kept: {clause}"
        if not self._pullable and not rules.evicts_local(self.image, self.policy):
            return Reason.LOCAL_ONLY, "may exist nowhere else: nothing shows a registry that it came from"
        return None

    def _time(self) -> tuple[Reason, str]:
        """Whether it has been idle long enough."""
        freed = f"frees about {units.format_bytes(self.estimated_bytes)}"
        ttl = f"TTL {units.format_duration(self._ttl)}"
        if self.now < self._old_enough:
            left = units.format_duration(self._old_enough - self.now)
            return Reason.MIN_AGE, f"arrived or changed its name lately; policy.min_age ends in {left}"
        if self.now >= self._deadline:
            return Reason.IDLE_TTL, f"idle {units.format_duration(self._idle)}, {ttl}; {freed}"
        left = units.format_duration(self._deadline - self.now)
        if self.now >= _later(self._known_idle_since, self._ttl):
            return Reason.GAP, f"its use may have gone unseen in a gap of the watch; {ttl} ends in {left}"
        return Reason.RECENT, f"idle {units.format_duration(self._idle)}, {ttl}; goes in {left}"

    @property
    def _protection(self) -> tuple[Reason, str] | None:
        return rules.protection(self.image, self.policy, self.context.holds, self.now)

    @property
    def _pullable(self) -> bool:
        return self.image.origin is not None or (self.usage.pulled and bool(self.image.digests))

    @property
    def _running(self) -> bool:
        return any(container.running for container in self.holders)

    @property
    def _last_used(self) -> datetime | None:
        if self._running:
            return self.now
        known = [container.last_active for container in self.holders] + [self.usage.last_used]
        return max((min(at, self.now) for at in known if at is not None), default=None)

    @property
    def _last_used_by(self) -> str:
        running = next((container.name for container in self.holders if container.running), "")
        return running or self.usage.last_used_by

    @property
    def _known_idle_since(self) -> datetime:
        """idle_since, but for the gap."""
        usage = self.usage
        released = self.now if usage.protected and self._protection is None else usage.released
        known = (self._last_used, usage.arrived, usage.first_seen, released)
        return self._awake(max(min(at, self.now) for at in known if at is not None))

    @property
    def _idle_since(self) -> datetime:
        gap_end = self.context.gap_end
        return max(self._known_idle_since, self._awake(min(gap_end, self.now))) if gap_end else self._known_idle_since

    def _awake(self, since: datetime) -> datetime:
        return timekeeping.without(self.context.absences, since, self.now)

    @property
    def _idle(self) -> timedelta:
        return self.now - self._idle_since

    @property
    def _ttl(self) -> timedelta:
        return rules.ttl(self.image, self.policy)

    @property
    def _deadline(self) -> datetime:
        return _later(self._idle_since, self._ttl)

    @property
    def _old_enough(self) -> datetime:
        usage = self.usage
        born = (usage.arrived, usage.first_seen, usage.references_changed)
        return _later(max(min(at, self.now) for at in born if at is not None), self.policy.min_age)

    @property
    def _due(self) -> datetime:
        return max(self._deadline, self._old_enough)


_RIPENING = (Reason.MIN_AGE, Reason.GAP, Reason.IDLE_TTL, Reason.RECENT)
_NEVER = datetime.max.replace(tzinfo=UTC)


def _later(at: datetime, by: timedelta) -> datetime:
    """`at + by`, or the end of time where that lies beyond it."""
    return at + by if by < _NEVER - at else _NEVER


def _in_use(holders: tuple[Container, ...]) -> str:
    first = min(holders, key=lambda container: (not container.running, container.name, container.id))
    others = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
    return f"container {first.name or first.id[:12]} ({first.state}){others} uses it"
