"""A change of policy: what is remembered of policies, and what waits."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.model import Image, Usage
from agent.core.policy import grace
from agent.core.policy.decide import Context
from agent.core.policy.decision import Plan
from agent.core.policy.grace import PendingPolicy, PolicyHistory
from agent.core.policy.schedule import Schedule, Window
from agent.core.policy.settings import Limits, Policy, Pressure, Rule
from tests.core.builders import DAY, HOUR, LONG_AGO, NOW, decide, disk, pytorch_image, usage, verdict

OLD, SLIP, OTHER = Policy(), Policy(ttl=timedelta(minutes=14)), Policy(ttl=timedelta(minutes=15))
SETTLED = PolicyHistory(settled=OLD, current=OLD, since=LONG_AGO)
SECOND = timedelta(seconds=1)


def run(*steps: tuple[float, Policy], start: PolicyHistory | None = None) -> PolicyHistory | None:
    """The memory after policies came into force, each so many hours after NOW, written and read back each time."""
    memory = start
    for hours, policy in steps:
        text = grace.encode(memory) if memory is not None else None
        memory = grace.load(text, policy, NOW + hours * HOUR, HOUR)
    return memory


def waits(memory: PolicyHistory | None) -> tuple[Policy | None, float] | None:
    """What it is compared with, and until how many hours after NOW; None: nothing waits for that."""
    assert memory is not None
    found = grace.change(memory, HOUR)
    return None if found is None else (found.before, (found.until - NOW) / HOUR)


# What is remembered

HISTORIES = [
    ("the first policy ever", None, [(0, SLIP)], None),
    ("the same policy", SETTLED, [(0, OLD)], None),
    ("a change", SETTLED, [(0, SLIP)], (OLD, 1)),
    ("the same policy over restarts", SETTLED, [(0, SLIP), (0.3, SLIP), (0.9, SLIP)], (OLD, 1)),
    ("a slip after a slip", SETTLED, [(0, SLIP), (0.5, OTHER)], (OLD, 1.5)),
    ("a slip after a slip a moment before it settled", SETTLED, [(0, SLIP), (0.9999, OTHER)], (OLD, 1.9999)),
    ("a change after one that just settled", SETTLED, [(0, SLIP), (1, OTHER)], (SLIP, 2)),
    ("going back", SETTLED, [(0, SLIP), (0.5, OLD)], None),
    ("going back after two slips", SETTLED, [(0, SLIP), (0.5, OTHER), (0.6, OLD)], None),
    ("going back and forth", SETTLED, [(0, SLIP), (0.5, OLD), (0.6, SLIP)], (OLD, 1.6)),
    ("going back after it settled", SETTLED, [(0, SLIP), (1, OLD)], (SLIP, 2)),
    ("an own change before the first has settled", None, [(0, OLD), (0.1, SLIP)], (OLD, 1.1)),
    ("a clock that was set back", SETTLED, [(500, SLIP), (0, SLIP)], (OLD, 1)),
]


@pytest.mark.parametrize(("what", "start", "steps", "expected"), HISTORIES, ids=[case[0] for case in HISTORIES])
def test_what_waits_after(
    what: str, start: PolicyHistory | None, steps: list[tuple[float, Policy]], expected: tuple[Policy, float] | None
) -> None:
    assert waits(run(*steps, start=start)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", '{"settled": null}', '{"settled": {"ttl": "soon"}, "current": {}, "since": 1}',
     grace.encode(SETTLED).replace("Z", ""), grace.encode(SETTLED).replace("P14D", "never")],
)  # fmt: skip
def test_what_cannot_be_read_evicted_nothing(text: str) -> None:
    assert grace.load(text, OLD, NOW, HOUR) == PolicyHistory(settled=None, current=OLD, since=NOW)
    assert waits(grace.load(text, OLD, NOW, HOUR)) == (None, 1)


def test_what_cannot_be_read_is_forgotten_after_the_grace() -> None:
    memory = grace.load("{", OLD, NOW, HOUR)
    assert waits(run((0.5, OLD), (1.5, SLIP), start=memory)) == (OLD, 2.5)


GENTLE = [
    Policy(limits=Limits(evictions_per_sweep=1, bytes_per_hour=5)),
    Policy(schedule=Schedule(windows=(Window(days=(0,), start=0, end=60),), timezone="Europe/Berlin")),
    Policy(observe=True),
    Policy(build_cache_after=DAY),
]


@pytest.mark.parametrize("policy", GENTLE, ids=["limits", "windows", "mode", "the build cache"])
def test_what_decides_of_no_image_is_no_change(policy: Policy) -> None:
    assert run((0, policy), start=SETTLED) == SETTLED
    assert waits(run((0, OLD), start=run((0, policy)))) is None


DECIDING = [
    Policy(ttl=DAY),
    Policy(min_age=DAY),
    Policy(include=("a",)),
    Policy(exclude=("a",)),
    Policy(known=("a",)),
    Policy(protect=()),
    Policy(keep_newest=1),
    Policy(rules=(Rule(match="a", keep=True),)),
    Policy(evict_local=True),
    Policy(evict_ambiguous=True),
    Policy(dangling_after=DAY),
    Policy(pressure=Pressure(high=0.5, low=0.4)),
    Policy(pressure=Pressure(budget=5)),
]


@pytest.mark.parametrize("policy", DECIDING)
def test_everything_else_is_a_change(policy: Policy) -> None:
    assert waits(run((0, policy), start=SETTLED)) == (OLD, 1)


def test_a_grace_of_0_lets_every_change_act_at_once() -> None:
    memory = grace.load(grace.encode(SETTLED), SLIP, NOW, timedelta())
    found = grace.change(memory, timedelta())
    assert found == PendingPolicy(before=OLD, until=NOW)
    assert verdict(judged(SLIP, found, A), A) == ("evict", "idle-ttl")


DURATIONS = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=36500))
PRINTABLE = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
GLOBS = st.lists(st.text(PRINTABLE, min_size=1, max_size=9), max_size=2).map(tuple)
SHARES = st.floats(0.001, 0.999)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy that the configuration can bring."""
    return Policy(
        ttl=draw(DURATIONS),
        min_age=draw(DURATIONS),
        include=draw(GLOBS),
        exclude=draw(GLOBS),
        known=draw(GLOBS),
        protect=draw(GLOBS),
        keep_newest=draw(st.integers(0, 1000)),
        rules=tuple(
            Rule(match=match, ttl=draw(st.none() | DURATIONS), keep=draw(st.booleans()),
                 keep_newest=draw(st.none() | st.integers(0, 9)), evict_local=draw(st.none() | st.booleans()))
            for match in draw(GLOBS)
        ),
        evict_local=draw(st.booleans()),
        evict_ambiguous=draw(st.booleans()),
        dangling_after=draw(st.none() | DURATIONS),
        pressure=draw(
            st.just(Pressure())
            | st.builds(Pressure, high=SHARES, low=SHARES)
            | st.builds(Pressure, budget=st.integers(1, 10**15))
        ),
    )  # fmt: skip


@given(policies(), st.none() | policies(), st.datetimes().map(lambda at: at.replace(tzinfo=NOW.tzinfo)))
def test_a_memory_is_read_back_as_it_was(current: Policy, settled: Policy | None, since: object) -> None:
    memory = PolicyHistory(settled=settled, current=current, since=since)  # type: ignore[arg-type]
    late = NOW.replace(year=9999)
    assert grace.load(grace.encode(memory), current, late, HOUR) == memory


@given(policies())
def test_a_policy_that_was_written_is_no_change_when_it_is_read(policy: Policy) -> None:
    assert waits(run((0, policy), (50, policy))) is None


# What waits

A = pytorch_image("a")
LATELY = usage(A, last_used=NOW - DAY)


def judged(
    policy: Policy, new: PendingPolicy | None, *images: Image, usages: tuple[Usage, ...] = (LATELY,), **facts: object
) -> Plan:
    return decide(*images, rules=policy, usages=usages, context=Context(pending_policy=new, **facts))  # type: ignore[arg-type]


def test_what_only_the_new_policy_evicts_waits_and_is_named() -> None:
    plan = judged(SLIP, PendingPolicy(before=OLD, until=NOW + HOUR), A)
    (decision,) = plan.decisions
    assert (verdict(plan, A), decision.due, plan.next_due) == (("keep", "recent"), NOW + HOUR, NOW + HOUR)
    assert decision.explanation == (
        "idle 1 d, TTL 14 min; frees about 1.0 kB;"
        " only the new policy would evict it, so it waits 1 h (policy.change_grace)"
    )
    assert (plan.deferred, plan.deferred_bytes, plan.estimated_bytes) == ((decision,), 1000, 0)


def test_what_both_evict_goes_by_the_new_one() -> None:
    plan = judged(SLIP, PendingPolicy(before=OLD, until=NOW + HOUR), A, usages=())
    assert (verdict(plan, A), plan.deferred) == (("evict", "idle-ttl"), ())
    assert "TTL 14 min" in plan.decisions[0].explanation


def test_what_only_the_old_policy_evicts_stays() -> None:
    plan = judged(Policy(exclude=("*/a:1",)), PendingPolicy(before=SLIP, until=NOW + HOUR), A)
    assert (verdict(plan, A), plan.deferred) == (("keep", "excluded"), ())


def test_after_an_unknown_policy_everything_waits() -> None:
    plan = judged(OLD, PendingPolicy(before=None, until=NOW + HOUR), A, usages=())
    assert (verdict(plan, A), plan.deferred_bytes) == (("keep", "recent"), 1000)


def test_the_wait_ends_when_the_old_policy_evicts_it_as_well() -> None:
    plan = judged(SLIP, PendingPolicy(before=Policy(ttl=DAY + HOUR / 2), until=NOW + HOUR), A)
    assert (plan.decisions[0].due, plan.next_due) == (NOW + HOUR / 2, NOW + HOUR / 2)
    plan = judged(SLIP, PendingPolicy(before=Policy(ttl=2 * DAY), until=NOW + HOUR), A)
    assert (plan.decisions[0].due, plan.next_due) == (NOW + HOUR, NOW + HOUR)


@pytest.mark.parametrize(("left", "reason"), [(SECOND, "recent"), (timedelta(), "idle-ttl")])
def test_the_wait_ends_on_time(left: timedelta, reason: str) -> None:
    assert verdict(judged(SLIP, PendingPolicy(before=OLD, until=NOW + left), A), A)[1] == reason


def test_a_layer_that_two_share_counts_once_in_what_waits() -> None:
    one = pytorch_image("a", layers={"sha256:base": 100, "sha256:1": 1})
    other = pytorch_image("b", layers={"sha256:base": 100, "sha256:2": 2})
    usages = tuple(replace(LATELY, image_id=item.id) for item in (one, other))
    plan = judged(SLIP, PendingPolicy(before=OLD, until=NOW + HOUR), one, other, usages=usages)
    assert plan.deferred_bytes == 103


LATE_HIGH = Policy(pressure=Pressure(high=0.9, low=0.75))
SOON_HIGH = Policy(pressure=Pressure(high=0.8, low=0.75))


@pytest.mark.parametrize("pressing", [False, True], ids=["the first plan", "the next plan"])
def test_a_lower_high_waits_though_it_already_presses(pressing: bool) -> None:
    """That the new policy presses is no reason for the old one to go on until its low."""
    new = PendingPolicy(before=LATE_HIGH, until=NOW + HOUR)
    plan = judged(SOON_HIGH, new, A, disk=disk(850), under_pressure=pressing)
    assert (verdict(plan, A), plan.under_pressure, len(plan.deferred)) == (("keep", "recent"), True, 1)
    assert verdict(judged(SOON_HIGH, new, A, disk=disk(901), under_pressure=pressing), A) == ("evict", "disk-pressure")
