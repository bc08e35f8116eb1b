"""A change of policy is gentle: what only the new one would evict waits, so that a slip can be taken back.

The policy to compare with is the last that was in force for the whole time of grace: a slip followed by another does
not make the first one the rule.
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
    """What the state remembers of policies. `settled` is None where it cannot be read: then nothing was evicted."""

    settled: Policy | None
    current: Policy
    since: AwareDatetime  # when `current` came into force


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPolicy:
    """A policy that is new: until then, only what the one before evicts as well is evicted."""

    before: Policy | None  # None: it evicted nothing
    until: datetime


_MEMORY = TypeAdapter(PolicyHistory)


def encode(memory: PolicyHistory) -> str:
    return _MEMORY.dump_json(memory).decode()


def load(text: str | None, policy: Policy, now: datetime, grace: timedelta) -> PolicyHistory:
    """The memory, from how it was kept, once a policy is in force. What cannot be read evicted nothing."""
    try:
        known = _MEMORY.validate_json(text) if text is not None else None
    except ValidationError:
        return PolicyHistory(settled=None, current=eviction_settings(policy), since=now)
    return record(known, policy, now, grace)


def eviction_settings(policy: Policy) -> Policy:
    """A policy without what only says when and how gently."""
    return replace(policy, observe=False, limits=Limits(), schedule=Schedule(), build_cache_after=None)


def record(memory: PolicyHistory | None, policy: Policy, now: datetime, grace: timedelta) -> PolicyHistory:
    """The memory once a policy is in force. The first ever is settled at once: every image is first seen then."""
    policy = eviction_settings(policy)
    if memory is None:
        return PolicyHistory(settled=policy, current=policy, since=now)
    if memory.current == policy:
        return replace(memory, since=min(memory.since, now))  # a clock set back must not make the wait longer
    settled = memory.current if now - memory.since >= grace else memory.settled
    return PolicyHistory(settled=settled, current=policy, since=now)


def change(memory: PolicyHistory, grace: timedelta) -> PendingPolicy | None:
    """The change that is still to be gentle about, if any. It is over at its `until`."""
    if memory.settled == memory.current:
        return None
    return PendingPolicy(before=memory.settled, until=memory.since + grace)


def deferred(
    decisions: Mapping[str, Decision], before: Mapping[str, Decision], until: datetime, now: datetime
) -> dict[str, Decision]:
    """What only `decisions` evict, kept for as long as the change is new, or until the other evicts it as well."""
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
    why = f"{item.explanation}; only the new policy says so, so it waits {left} (policy.change_grace)"
    return replace(item, action=Action.KEEP, reason=Reason.RECENT, explanation=why, due=until)
