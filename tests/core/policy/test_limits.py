"""Limits: how much goes at once, and that everything goes in the end."""

from datetime import timedelta

import pytest

from agent.core import units
from agent.core.policy.decide import Context
from agent.core.policy.decision import HeldBy
from agent.core.policy.limits import PastEviction
from agent.core.policy.settings import Limits, Policy
from tests.core.builders import DAY, LONG_AGO, NOW, decide, pytorch_image, usage

IMAGES = tuple(pytorch_image(name, layers={f"sha256:{name}": 100}) for name in "abc")
AGES = tuple(usage(item, last_used=LONG_AGO + n * DAY) for n, item in enumerate(IMAGES))
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def going(limits: Limits, *freed: PastEviction) -> str:
    plan = decide(*IMAGES, usages=AGES, rules=Policy(limits=limits), context=Context(past_evictions=freed))
    held = {item.image.id: item.held_by for item in plan.decisions}
    gone = {item.image.id for item in plan.evictions}
    assert all((held[item.id] is None) == (item.id in gone) for item in IMAGES)
    assert set(held.values()) <= {None, HeldBy.RATE_LIMIT}
    return "".join(name for name, item in zip("abc", IMAGES, strict=True) if item.id in gone)


CASES = [
    ("no limit", Limits(), (), "abc"),
    ("two in a sweep", Limits(evictions_per_sweep=2), (), "ab"),
    ("one went a moment ago", Limits(evictions_per_sweep=2), (PastEviction(NOW - SECOND, 1),), "a"),
    ("one went a minute ago", Limits(evictions_per_sweep=2), (PastEviction(NOW - MINUTE, 1),), "ab"),
    ("a budget of just two", Limits(bytes_per_hour=200), (), "ab"),
    ("a budget of a byte less", Limits(bytes_per_hour=199), (), "a"),
    ("a budget that a former eviction used", Limits(bytes_per_hour=200), (PastEviction(NOW - HOUR + SECOND, 150),), ""),
    ("a former eviction of more than an hour ago", Limits(bytes_per_hour=200), (PastEviction(NOW - HOUR, 150),), "ab"),
    ("an image larger than the budget goes alone", Limits(bytes_per_hour=10), (), "a"),
    ("and not before the hour is over", Limits(bytes_per_hour=10), (PastEviction(NOW - SECOND, 100),), ""),
]


@pytest.mark.parametrize(("what", "limits", "freed", "expected"), CASES, ids=[case[0] for case in CASES])
def test_of_three_that_are_due_go(what: str, limits: Limits, freed: tuple[PastEviction, ...], expected: str) -> None:
    assert going(limits, *freed) == expected


def test_the_plan_wakes_when_there_is_room_again() -> None:
    freed = (PastEviction(NOW - SECOND, 150),)
    for limits, span in ((Limits(evictions_per_sweep=1), MINUTE), (Limits(bytes_per_hour=10), HOUR)):
        plan = decide(*IMAGES, usages=AGES, rules=Policy(limits=limits), context=Context(past_evictions=freed))
        assert plan.next_due == NOW - SECOND + span


@pytest.mark.parametrize(
    "limits", [Limits(evictions_per_sweep=1), Limits(bytes_per_hour=10), Limits(bytes_per_hour=250)]
)
def test_in_the_end_everything_goes(limits: Limits) -> None:
    now, left = NOW, list(IMAGES)
    freed: tuple[PastEviction, ...] = ()
    for _ in range(10):
        context = Context(past_evictions=freed)
        plan = decide(*left, usages=AGES, rules=Policy(limits=limits), context=context, now=now)
        if plan.evictions:
            first = plan.evictions[0]
            left = [item for item in left if item.id != first.image.id]
            freed = (*freed, PastEviction(now, first.estimated_bytes))
        elif plan.next_due is not None:
            now = plan.next_due
    assert left == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0B", 0),
        ("500MB", 500_000_000),
        ("200 GB", 200_000_000_000),
        ("1.5kB", 1500),
        ("10GiB", 10 * 2**30),
        ("2TB", 2 * 10**12),
    ],
)
def test_a_size_is_a_number_and_a_unit(written: str, meant: int) -> None:
    assert units.parse_size(written) == meant


@pytest.mark.parametrize("written", ["200", "GB", "-1GB", "1iB", "1 gb", None, 5, ""])
def test_anything_else_is_no_size(written: object) -> None:
    with pytest.raises(ValueError, match="like 500MB, 200GB or 10GiB"):
        units.parse_size(written)
