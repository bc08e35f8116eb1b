"""Properties of every plan under pressure: who stays, who goes first, and that enough goes."""

from dataclasses import replace
from datetime import datetime

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.core.policy import parents, planning
from agent.core.policy.decide import Context
from agent.core.policy.decision import Action, Decision, Plan, Reason
from agent.core.policy.settings import Policy, Pressure
from tests.properties.strategies import (
    CONTEXTS,
    CROWD_RULES,
    PRESSURES,
    TIMES,
    GeneratedHost,
    crowds,
    generated_hosts,
    policies,
    pressed,
)
from tests.properties.test_policy import freed
from tests.support.builders import evicted_ids, make_disk

RULES = pressed(CROWD_RULES)
SHARED = st.builds(lambda rules, pressure: replace(rules, pressure=pressure), CROWD_RULES, PRESSURES)
TOTAL = 1000  # bytes of the disk


def wanted(world: GeneratedHost, plan: Plan, rules: Policy, context: Context) -> int:
    """The bytes to free, by hand."""
    if not plan.under_pressure:
        return 0
    if rules.pressure.budget is not None:
        return freed(world, {item.id for item in world.images}) - rules.pressure.budget
    assert context.disk is not None
    assert rules.pressure.low is not None
    return context.disk.used_bytes - int(rules.pressure.low * TOTAL)


def calm(rules: Policy) -> Policy:
    return replace(rules, pressure=Pressure())


@given(generated_hosts(), pressed(policies()), CONTEXTS)
def test_nothing_goes_but_what_waits_only_for_its_ttl(world: GeneratedHost, rules: Policy, context: Context) -> None:
    without = {item.image.id: item for item in world.plan(calm(rules)).decisions}
    for item in world.plan(rules, context).decisions:
        before = without[item.image.id]
        if item.reason is Reason.DISK_PRESSURE:
            assert before.reason is Reason.RECENT
        elif item.action is Action.EVICT and before.action is Action.KEEP:  # the last image built on it goes
            assert world.children[item.image.id]
            assert item.reason is Reason.DANGLING or before.reason is Reason.HAS_CHILDREN
        else:
            assert (item.action, item.reason) == (before.action, before.reason)


@given(crowds(), RULES, CONTEXTS)
def test_enough_goes_or_everything_that_may(world: GeneratedHost, rules: Policy, context: Context) -> None:
    plan = world.plan(rules, context)
    missing = wanted(world, plan, rules, context) - freed(world, evicted_ids(plan))
    assert plan.shortfall_bytes == max(0, missing)
    if plan.shortfall_bytes:
        left = {item.image.id for item in plan.decisions if item.reason is Reason.RECENT}
        assert all(world.children[one] - evicted_ids(plan) for one in left)


@given(crowds(), RULES, CONTEXTS)
def test_no_more_goes_than_is_wanted(world: GeneratedHost, rules: Policy, context: Context) -> None:
    """Without one of them, and what goes only because it does, too little would be freed."""
    plan = world.plan(rules, context)
    by_pressure = {item.image.id for item in plan.decisions if item.reason is Reason.DISK_PRESSURE}
    if by_pressure:
        enough = wanted(world, plan, rules, context)
        assert any(freed(world, evicted_ids(plan) - _line(world, one)) < enough for one in by_pressure)


def _line(world: GeneratedHost, image: str) -> set[str]:
    """An image and all that it was built on."""
    above = {one for one, children in world.children.items() if image in children}
    return {image}.union(*(_line(world, one) for one in above))


@given(crowds(), RULES, CONTEXTS)
def test_the_least_recently_used_goes_first(world: GeneratedHost, rules: Policy, context: Context) -> None:
    """But a parent not before its children."""
    plan = world.plan(rules, context)
    known = {item.image.id: item for item in plan.decisions}

    def turn(item: Decision) -> tuple[datetime, int] | None:
        """When it may go first: once its own turn and that of all below it has come."""
        own = parents.eviction_order(item) if item.reason in (Reason.DISK_PRESSURE, Reason.RECENT) else None
        turns = [own, *(turn(known[child]) for child in world.children[item.image.id])]
        return max((one for one in turns if one is not None), default=None)

    went = [turn(item) for item in plan.decisions if item.reason is Reason.DISK_PRESSURE]
    left = [
        turn(item)
        for item in plan.decisions
        if item.reason is Reason.RECENT and world.children[item.image.id] <= evicted_ids(plan)
    ]
    assert all(one <= other for one in went for other in left if one is not None and other is not None)


@given(crowds(), RULES, CONTEXTS, TIMES)
def test_a_gap_never_evicts_more_under_pressure(
    world: GeneratedHost, rules: Policy, context: Context, end: datetime
) -> None:
    blind = replace(context, gap_end=end)
    assert evicted_ids(world.plan(rules, blind)) <= evicted_ids(world.plan(rules, context))


@given(crowds(), SHARED, st.integers(0, TOTAL), st.integers(0, TOTAL), st.booleans())
def test_more_free_disk_never_evicts_more(
    world: GeneratedHost, rules: Policy, used: int, more: int, pressing: bool
) -> None:
    fuller = world.plan(rules, Context(disk=make_disk(max(used, more)), under_pressure=pressing))
    emptier = world.plan(rules, Context(disk=make_disk(min(used, more)), under_pressure=pressing))
    assert evicted_ids(emptier) <= evicted_ids(fuller)


@given(crowds(), CROWD_RULES, st.integers(1, 300), st.integers(0, 300))
def test_a_larger_budget_never_evicts_more(world: GeneratedHost, rules: Policy, budget: int, more: int) -> None:
    small = replace(rules, pressure=Pressure(budget=budget))
    large = replace(rules, pressure=Pressure(budget=budget + more))
    assert evicted_ids(world.plan(large)) <= evicted_ids(world.plan(small))


@given(crowds(), SHARED, CONTEXTS)
def test_pressure_begins_above_high_and_ends_at_low(world: GeneratedHost, rules: Policy, context: Context) -> None:
    assert context.disk is not None
    assert rules.pressure.high is not None
    assert rules.pressure.low is not None
    until = rules.pressure.low if context.under_pressure else rules.pressure.high
    assert world.plan(rules, context).under_pressure == (context.disk.used_bytes / TOTAL > until)


@given(crowds(families=False), RULES, st.integers(0, TOTAL))
def test_the_sweep_evicts_what_the_plan_shows_and_stops_at_low(world: GeneratedHost, rules: Policy, used: int) -> None:
    """Image by image, measured again after each, where the estimates come true. Of those idle equally long, what frees
    the most goes first, which may change as others go; and a parent may be spared in the end."""
    context = Context(disk=make_disk(used))
    plan, left = world.plan(rules, context), world
    assume(len({item.idle_since_ignoring_gaps for item in plan.decisions}) == len(world.images))
    for planned in plan.evictions:
        context = replace(context, under_pressure=plan.under_pressure)
        fresh = left.plan(rules, context)
        assert planning.passes_recheck(planned, fresh)
        used -= freed(left, {planned.image.id})
        context, left = replace(context, disk=make_disk(max(used, 0))), left.without(planned.image.id)
    end = left.plan(rules, replace(context, under_pressure=plan.under_pressure))
    assert (end.evictions, end.under_pressure) == ((), plan.shortfall_bytes > 0)


@given(crowds(), SHARED, st.lists(st.integers(0, TOTAL), max_size=6))
def test_it_goes_on_until_low_and_begins_again_only_above_high(
    world: GeneratedHost, rules: Policy, shares: list[int]
) -> None:
    pressing, expected = False, False
    high, low = rules.pressure.high or 1.0, rules.pressure.low or 0.0
    for used in shares:
        pressing = world.plan(rules, Context(disk=make_disk(used), under_pressure=pressing)).under_pressure
        expected = used / TOTAL > high or (expected and used / TOTAL > low)
        assert pressing == expected


def test_the_strategies_do_bring_pressure_to_bear() -> None:
    """Else none of these properties says anything."""
    seen: set[str] = set()

    @settings(derandomize=True, database=None, max_examples=100)
    @given(crowds(), RULES, CONTEXTS)
    def look(world: GeneratedHost, rules: Policy, context: Context) -> None:
        plan = world.plan(rules, context)
        seen.update(item.reason.value for item in plan.decisions)
        seen.update({"short"} if plan.shortfall_bytes and plan.evictions else ())
        pressed = [item.image.id for item in plan.decisions if item.reason is Reason.DISK_PRESSURE]
        seen.update({"parent"} if any(world.children[one] for one in pressed) else ())
        left = {item.image.id for item in plan.decisions if item.reason is Reason.RECENT}
        seen.update({"partial"} if pressed and any(world.children[one] <= evicted_ids(plan) for one in left) else ())

    look()
    reasons = {"disk-pressure", "idle-ttl", "dangling", "has-children", "local-only", "recent"}
    assert reasons | {"short", "parent", "partial"} <= seen
