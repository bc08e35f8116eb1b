"""How far ahead of a plan without evictions it is worth to look."""

import math
from datetime import timedelta

from agent.core.policy.decision import Action, Plan

_UNITS = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1))


def horizon(seen: Plan, ttl: timedelta) -> timedelta | None:
    """The time until every image that is due within one TTL is due, rounded up to be typed; None if none will be.

    If a rule gives all images a longer TTL, it is the time until the first is due.
    """
    left = [item.due - seen.at for item in seen.decisions if item.action is Action.KEEP and item.due is not None]
    coming = [time for time in left if time > timedelta()]
    if not coming:
        return None
    return _rounded_up(max((time for time in coming if time <= ttl), default=min(coming)))


def _rounded_up(value: timedelta) -> timedelta:
    unit = next((unit for unit in _UNITS if value >= unit), _UNITS[-1])
    return math.ceil(value / unit) * unit
