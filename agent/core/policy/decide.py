"""The decision for one image: the first reason, in the order of `Reason`, that applies to it.

After this, only the decisions for parents may change (`parents`), as they depend on other images.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from agent.core import text, units
from agent.core.images import layers
from agent.core.model import Class, Container, Image, Usage, Verdict
from agent.core.policy import idle, rules
from agent.core.policy.decision import Action, Decision, Reason, Step
from agent.core.policy.disk import DiskUsage
from agent.core.policy.grace import PendingPolicy
from agent.core.policy.idle import IdleTimes
from agent.core.policy.limits import PastEviction
from agent.core.policy.overrides import Overrides
from agent.core.policy.settings import Policy
from agent.core.timekeeping import MachineOff


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a plan depends on besides the images: the operator's overrides, and whether the agent can trust its data."""

    overrides: Overrides = Overrides()
    proven: bool = True  # the stream is live, read to its end, and proven to have no unrecorded gap
    observe_only: bool = False  # nothing may be removed on this engine
    clock_trusted: bool = True  # the wall clock has not jumped recently
    gap_end: datetime | None = None  # the end of the last gap over the tolerance
    machine_off: tuple[MachineOff, ...] = ()  # when the machine was off for more than a day
    past_evictions: tuple[PastEviction, ...] = ()  # what was evicted in the last hour
    backoff: Mapping[str, datetime] = field(default_factory=dict)  # image ID -> not before
    disk: DiskUsage | None = None  # the engine's file system; None if the agent cannot see it
    under_pressure: bool = False  # whether an earlier disk pressure has not ended yet
    pending_policy: PendingPolicy | None = None  # a policy in its grace period


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One image, with everything that its decision depends on."""

    image: Image
    verdict: Verdict
    usage: Usage
    containers: tuple[Container, ...]
    policy: Policy
    now: datetime
    context: Context
    newest: str  # why keep_newest keeps it; "" if it does not
    watched_since: datetime  # when the agent first saw this engine; earlier uses are unknown
    estimated_bytes: int

    def decide(self) -> Decision:
        """The decision for the image, with the steps that led to it."""
        protections = _until_answer(self._protections())
        protected = bool(protections[-1].answer)
        usage = self.usage if protected else self._released()
        times = self._times(usage, protected=protected)
        steps = _until_answer(chain(self._kind_reasons(), protections, self._time_reasons(times)))
        reason = steps[-1].reason
        return Decision(
            image=self.image,
            verdict=self.verdict,
            action=Action.EVICT if reason.evicts else Action.KEEP,
            reason=reason,
            explanation=text.shortened(steps[-1].answer, _LONGEST_EXPLANATION),
            running=times.running,
            last_used=times.last_used,
            recorded_use=times.recorded_use,
            last_used_by=times.last_used_by,
            idle_since=times.idle_since,
            idle_since_ignoring_gaps=times.idle_since_ignoring_gaps,
            idle=times.idle,
            ttl=times.ttl,
            deadline=times.deadline,
            due=self._due(times) if reason.evicts or reason.pending else None,
            estimated_bytes=self.estimated_bytes,
            protected=protected,
            may_cascade=not protected and self._may_cascade(usage),
            warnings=rules.label_warnings(self.image),
            failure=self._failure,
            steps=steps,
            valid_until=min((at for at in times.thresholds if at > self.now), default=idle.NEVER),
        )

    def _times(self, usage: Usage, *, protected: bool) -> IdleTimes:
        return idle.times(
            self.image,
            usage,
            self.containers,
            self.policy,
            self.now,
            protected=protected,
            gap_end=self.context.gap_end,
            absences=self.context.machine_off,
        )

    def _may_cascade(self, usage: Usage) -> bool:
        """Whether it may be evicted together with the last image built on it, judged by this image alone.

        Its own TTL must have passed too. A build step is first listed slightly after its build, so its `first_seen` may
        be slightly late. No use since the watch began was missed, so the time may count from the start of the watch.
        """
        if not self.image.dangling or self.verdict.kind is not Class.PYTORCH or self.containers:
            return False
        seen = replace(usage, first_seen=min(usage.first_seen, self.watched_since))
        times = self._times(seen, protected=False)
        return self.now >= max(times.deadline, times.min_age_ends)

    def _released(self) -> Usage:
        """Its usage; `released` includes the end of a pin that ended between two sweeps."""
        ended = rules.pin_ended(self.image, self.context.overrides, self.now)
        if ended is None or (self.usage.released is not None and ended <= self.usage.released):
            return self.usage
        return replace(self.usage, released=ended)

    def _kind_reasons(self) -> Iterator[Step]:
        """The reasons that concern what it is, and whether it is in use."""
        yield Step(Reason.UNKNOWN, self._unknown())
        other = self.verdict.kind is Class.OTHER
        yield Step(Reason.NOT_PYTORCH, Reason.NOT_PYTORCH.words if other else "")
        unsure = not rules.recognised(self.image, self.verdict, self.policy)
        yield Step(Reason.AMBIGUOUS, _ambiguous(self.verdict) if unsure else "")
        yield Step(Reason.IN_USE, _in_use(self.containers) if self.containers else "")

    def _unknown(self) -> str:
        if self._failure:
            return _cannot_be_judged(self._failure)
        return Reason.UNKNOWN.words if self.image.details is None else ""

    def _protections(self) -> Iterator[Step]:
        """The reasons by which an operator keeps it."""
        for reason, why in rules.protections(self.image, self.policy, self.context.overrides, self.now):
            yield Step(reason, f"kept: {why}" if why else "")
        yield Step(Reason.KEEP_NEWEST, f"kept: {self.newest}" if self.newest else "")

    def _time_reasons(self, times: IdleTimes) -> Iterator[Step]:
        """The reasons that concern whether it may be evicted at all, and has been idle for long enough."""
        evictable = self._expires_by_ttl or self._expires_as_dangling
        yield Step(Reason.LOCAL_ONLY, "" if evictable else Reason.LOCAL_ONLY.words)
        left = units.format_duration(times.min_age_ends - self.now)
        young = f"arrived or was renamed recently; policy.min_age ends in {left}"
        yield Step(Reason.MIN_AGE, young if self.now < times.min_age_ends else "")
        limit, ends = self._limit(times)
        left = units.format_duration(ends - self.now)
        due, seen_due = self.now >= ends, self.now >= self._expires_at(times.seen_deadline, times.seen_dangling_at)
        unseen = f"{Reason.GAP.words}; {limit} ends in {left}"
        yield Step(Reason.GAP, unseen if seen_due and not due else "")
        idle_for = f"idle {units.format_duration(times.idle)}, {limit}"
        freed = f"{idle_for}; frees {layers.about([self.image])} {units.format_bytes(self.estimated_bytes)}"
        dangling = ends == times.dangling_at
        yield Step(Reason.DANGLING, freed if due and dangling else "")
        yield Step(Reason.IDLE_TTL, freed if due and not dangling else "")
        yield Step(Reason.RECENT, f"{idle_for}; due in {left}")

    def _limit(self, times: IdleTimes) -> tuple[str, datetime]:
        """The setting by which it expires first, in words, and when."""
        ends = self._expires_at(times.deadline, times.dangling_at)
        if ends != times.dangling_at or self.policy.dangling_after is None:
            return f"TTL {units.format_duration(times.ttl)}", ends
        label = rules.label_ttl(self.image).ttl
        if label is not None and label > self.policy.dangling_after:
            return f"without a name, label {rules.LABEL_TTL} {units.format_duration(label)}", ends
        return f"without a name, cleanup.dangling_after {units.format_duration(self.policy.dangling_after)}", ends

    def _expires_at(self, deadline: datetime, dangling_at: datetime | None) -> datetime:
        """When it expires. A local image without a name does so only by `dangling_after`."""
        ends = [deadline] if self._expires_by_ttl else []
        return min([*ends, dangling_at] if dangling_at is not None else ends)

    def _due(self, times: IdleTimes) -> datetime:
        return max(self._expires_at(times.deadline, times.dangling_at), times.min_age_ends)

    @property
    def _failure(self) -> str:
        return self.image.unreadable or self.verdict.failure

    @property
    def _expires_by_ttl(self) -> bool:
        pullable = self.image.origin is not None or (self.usage.pulled and bool(self.image.digests))
        return pullable or rules.evicts_local(self.image, self.policy)

    @property
    def _expires_as_dangling(self) -> bool:
        return self.policy.dangling_after is not None and self.image.dangling


_LONGEST_EXPLANATION = 1_000  # characters; a label may be longer


def _until_answer(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps up to the first one with an answer, included."""
    taken: list[Step] = []
    for step in steps:
        taken.append(step)
        if step.answer:
            break
    return tuple(taken)


def unknown(image: Image, failure: str) -> Decision:
    """The decision for an image that could not be evaluated."""
    return Decision(
        image=image,
        verdict=Verdict(kind=Class.OTHER, failure=failure),
        action=Action.KEEP,
        reason=Reason.UNKNOWN,
        explanation=_cannot_be_judged(failure),
        failure=failure,
    )


def _cannot_be_judged(failure: str) -> str:
    return f"it cannot be judged, so it is kept: {failure}"


def _ambiguous(verdict: Verdict) -> str:
    if verdict.left_out:
        return f"may be PyTorch, but its {' and '.join(verdict.left_out)} cannot be read completely: too long"
    return f"{Reason.AMBIGUOUS.words}: {verdict.evidence[0].text}"


def _in_use(containers: tuple[Container, ...]) -> str:
    first = min(containers, key=lambda container: (not container.running, container.name, container.id))
    uses = f" and {len(containers) - 1} more use it" if len(containers) > 1 else " uses it"
    return f"container {first.name or first.id[:12]} ({first.state}){uses}"
