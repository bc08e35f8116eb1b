"""The decision for one image: the questions in the order of `Reason`, and the first that applies.

Only a parent's reason may change after this (`families`), and only in the sight of all images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from agent.core import idle, rules, units
from agent.core.change import Change
from agent.core.idle import Times
from agent.core.limits import Freed
from agent.core.model import Action, Class, Container, Decision, Holds, Image, Policy, Reason, Usage, Verdict
from agent.core.space import Space
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
    space: Space | None = None  # the engine's file system; None: it cannot be seen from here
    pressing: bool = False  # whether the pressure that began before has not ended
    change: Change | None = None  # a policy that is new


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
    newest: str  # why keep_newest keeps it; "": it does not
    estimated_bytes: int

    def answer(self) -> Decision:
        protection = self._protection()
        times = idle.times(
            self.image,
            self.usage if protection is not None else self._released(),
            self.holders,
            self.policy,
            self.now,
            protected=protection is not None,
            gap_end=self.context.gap_end,
            absences=self.context.absences,
        )
        reason, why = self._keep(protection) or self._time(times)
        warning = rules.label_ttl(self.image).error
        return Decision(
            image=self.image,
            verdict=self.verdict,
            action=Action.EVICT if reason in _GOES else Action.KEEP,
            reason=reason,
            explanation=why,
            running=times.running,
            last_used=times.last_used,
            recorded_use=times.recorded_use,
            last_used_by=times.last_used_by,
            idle_since=times.idle_since,
            seen_idle_since=times.seen_idle_since,
            idle=times.idle,
            ttl=times.ttl,
            deadline=times.deadline,
            due=self._due(times) if reason in _RIPENING else None,
            estimated_bytes=self.estimated_bytes,
            protected=protection is not None,
            warnings=(warning,) if warning else (),
        )

    def _released(self) -> Usage:
        """Its usage, with the end of a pin that no sweep saw."""
        ended = rules.pin_ended(self.image, self.context.holds, self.now)
        if ended is None or (self.usage.released is not None and ended <= self.usage.released):
            return self.usage
        return replace(self.usage, released=ended)

    def _protection(self) -> tuple[Reason, str] | None:
        named = rules.protection(self.image, self.policy, self.context.holds, self.now)
        return named or ((Reason.KEEP_NEWEST, self.newest) if self.newest else None)

    def _keep(self, protection: tuple[Reason, str] | None) -> tuple[Reason, str] | None:
        """The first reason to keep it that is not a matter of waiting."""
        if self.image.details is None:
            return Reason.UNKNOWN, "the engine could not say what it is; kept until it can"
        if self.verdict.kind is Class.OTHER:
            return Reason.NOT_PYTORCH, "nothing shows that it is a PyTorch image"
        if not rules.recognised(self.image, self.verdict, self.policy):
            return Reason.AMBIGUOUS, f"may be PyTorch, but not surely: {self.verdict.evidence[0].text}"
        if self.holders:
            return Reason.IN_USE, _in_use(self.holders)
        if protection is not None:
            return protection[0], f"kept: {protection[1]}"
        if not self._ends_by_ttl and not self._ends_as_dangling:
            return Reason.LOCAL_ONLY, "may exist nowhere else: nothing shows a registry that it came from"
        return None

    def _time(self, times: Times) -> tuple[Reason, str]:
        """Whether it has been idle long enough."""
        if self.now < times.old_enough:
            left = units.format_duration(times.old_enough - self.now)
            return Reason.MIN_AGE, f"arrived or changed its name lately; policy.min_age ends in {left}"
        idle_for = f"idle {units.format_duration(times.idle)}"
        freed = f"frees about {units.format_bytes(self.estimated_bytes)}"
        limit, ends = self._limit(times)
        if self.now >= ends:
            reason = Reason.DANGLING if ends == times.dangling_at else Reason.IDLE_TTL
            return reason, f"{idle_for}, {limit}; {freed}"
        left = units.format_duration(ends - self.now)
        if self.now >= self._ends(times.seen_deadline, times.seen_dangling_at):
            return Reason.GAP, f"its use may have gone unseen in a gap of the watch; {limit} ends in {left}"
        return Reason.RECENT, f"{idle_for}, {limit}; goes in {left}"

    def _limit(self, times: Times) -> tuple[str, datetime]:
        """What ends its stay first, in words, and when."""
        ends = self._ends(times.deadline, times.dangling_at)
        if ends != times.dangling_at or self.policy.dangling_after is None:
            return f"TTL {units.format_duration(times.ttl)}", ends
        label = rules.label_ttl(self.image).ttl
        if label is not None and label > self.policy.dangling_after:
            return f"without a name, label {rules.LABEL_TTL} {units.format_duration(label)}", ends
        return f"without a name, cleanup.dangling_after {units.format_duration(self.policy.dangling_after)}", ends

    def _ends(self, deadline: datetime, dangling_at: datetime | None) -> datetime:
        """A local image without a name has no TTL to end by, but `dangling_after`."""
        ends = [deadline] if self._ends_by_ttl else []
        return min([*ends, dangling_at] if dangling_at is not None else ends)

    def _due(self, times: Times) -> datetime:
        return max(self._ends(times.deadline, times.dangling_at), times.old_enough)

    @property
    def _ends_by_ttl(self) -> bool:
        pullable = self.image.origin is not None or (self.usage.pulled and bool(self.image.digests))
        return pullable or rules.evicts_local(self.image, self.policy)

    @property
    def _ends_as_dangling(self) -> bool:
        return self.policy.dangling_after is not None and self.image.untagged


_GOES = (Reason.DANGLING, Reason.IDLE_TTL)
_RIPENING = (Reason.MIN_AGE, Reason.GAP, Reason.RECENT, *_GOES)


def _in_use(holders: tuple[Container, ...]) -> str:
    first = min(holders, key=lambda container: (not container.running, container.name, container.id))
    uses = f" and {len(holders) - 1} more use it" if len(holders) > 1 else " uses it"
    return f"container {first.name or first.id[:12]} ({first.state}){uses}"
