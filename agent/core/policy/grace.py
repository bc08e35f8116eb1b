"""The grace period after a policy change: images that only the new policy would evict wait, so a mistake can be undone.

The new policy is compared with the last one that was in force for a whole grace period. So a second mistake does not
make the first one the baseline.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from agent.core import units
from agent.core.policy.decision import Action, Decision, Reason
from agent.core.policy.schedule import Schedule
from agent.core.policy.settings import Limits, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyHistory:
    """The stored policies. `settled` is the baseline; None if it cannot be read, which counts as evicting nothing."""

    settled: Policy | None
    current: Policy
    since: AwareDatetime  # when `current` took effect


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPolicy:
    """A grace period: until its end, only images are evicted that the policy `before` would evict too."""

    before: Policy | None  # None: it would evict nothing
    until: datetime


_HISTORY = TypeAdapter(PolicyHistory)


def encode(history: PolicyHistory) -> str:
    """The history as text, for `load`."""
    return _HISTORY.dump_json(history).decode()


def load(text: str | None, policy: Policy, now: datetime, grace: timedelta) -> PolicyHistory:
    """Read the stored history and record the present policy. If it is unreadable, the baseline evicts nothing."""
    try:
        known = _HISTORY.validate_json(text) if text is not None else None
    except ValidationError:
        return PolicyHistory(settled=None, current=eviction_settings(policy), since=now)
    return record(known, policy, now, grace)


def eviction_settings(policy: Policy) -> Policy:
    """A policy with only the settings that decide what is evicted, not when or how fast."""
    return replace(policy, observe=False, limits=Limits(), schedule=Schedule(), build_cache_after=None)


def record(history: PolicyHistory | None, policy: Policy, now: datetime, grace: timedelta) -> PolicyHistory:
    """The history with the present policy. The very first policy has no grace period: each image is first seen then."""
    policy = eviction_settings(policy)
    if history is None:
        return PolicyHistory(settled=policy, current=policy, since=now)
    if history.current == policy:
        return replace(history, since=min(history.since, now))  # a clock that is set back must not lengthen the wait
    settled = history.current if now - history.since >= grace else history.settled
    return PolicyHistory(settled=settled, current=policy, since=now)


def change(history: PolicyHistory, grace: timedelta) -> PendingPolicy | None:
    """The grace period of the last change, even if it has ended already; None if there was no change."""
    if history.settled == history.current:
        return None
    return PendingPolicy(before=history.settled, until=history.since + grace)


def deferred(
    decisions: Mapping[str, Decision], before: Mapping[str, Decision], until: datetime, now: datetime
) -> dict[str, Decision]:
    """The evictions that are only in `decisions`, as kept until the grace period ends or `before` evicts them too."""
    return {
        key: _wait(item, _until(before.get(key), until), now)
        for key, item in decisions.items()
        if item.action is Action.EVICT and not _evicts(before.get(key))
    }


def _evicts(item: Decision | None) -> bool:
    return item is not None and item.action is Action.EVICT


def _until(before: Decision | None, until: datetime) -> datetime:
    return until if before is None or before.due is None else min(until, before.due)


def _wait(item: Decision, until: datetime, now: datetime) -> Decision:
    left = units.format_duration(until - now)
    why = f"{item.explanation}; only the new policy would evict it, so it waits {left} (policy.change_grace)"
    return replace(item, action=Action.KEEP, reason=Reason.RECENT, explanation=why, due=until)
