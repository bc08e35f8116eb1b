"""How far `plan` proposes to look ahead where nothing is due."""

from datetime import timedelta

import pytest

from agent.cli import ahead
from agent.core import units
from agent.core.policy.decision import Plan
from agent.core.policy.settings import Policy, Rule
from tests.support.builders import NOW, decide, evicted_ids, idle_usage, pulled_image, pytorch_image
from tests.support.times import DAY, HOUR, MINUTE

TTL = 14 * DAY
RULES = Policy(rules=(Rule(match="team/slow:*", ttl=60 * DAY),))


def used_ago(*ago: timedelta, slow: bool = False, later: timedelta = timedelta()) -> Plan:
    images = [pytorch_image(f"i{number}") for number in range(len(ago))]
    images += [pytorch_image("slow")] * slow
    times = [*ago, DAY]
    seen = tuple(idle_usage(image, last_used=NOW - time) for image, time in zip(images, times, strict=False))
    return decide(*images, usages=seen, rules=RULES, now=NOW + later)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (used_ago(2 * DAY, 5 * DAY), "12d"),
        (used_ago(timedelta()), "14d"),
        (used_ago(MINUTE), "14d"),
        (used_ago(TTL - HOUR), "1h"),
        (used_ago(TTL - 90 * MINUTE), "2h"),
        (used_ago(TTL - timedelta(seconds=10)), "1m"),
        (used_ago(2 * DAY, slow=True), "12d"),
        (used_ago(slow=True), "59d"),
    ],
)
def test_it_is_the_time_until_everything_due_within_one_ttl_is_due_rounded_up(plan: Plan, expected: str) -> None:
    by = ahead.horizon(plan, TTL)
    assert by is not None
    assert units.duration_text(by) == expected


def test_what_it_proposes_shows_all_of_those_images() -> None:
    ago = (2 * DAY, 5 * DAY, timedelta(hours=7))
    by = ahead.horizon(used_ago(*ago), TTL)
    assert by is not None
    assert len(evicted_ids(used_ago(*ago, later=by))) == 3


def test_a_host_on_which_nothing_will_ever_be_due_gets_no_proposal() -> None:
    assert ahead.horizon(decide(pulled_image("web"), pytorch_image("a", "team/a:latest")), TTL) is None
