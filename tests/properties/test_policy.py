"""Properties of every plan without pressure, and the liveness that keeps them honest."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.core.model import Container, Image
from agent.core.policy import planning, totals
from agent.core.policy.decide import Context
from agent.core.policy.decision import Action, Reason
from agent.core.policy.grace import PendingPolicy
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Policy, Rule
from tests.properties.strategies import CONTEXTS, MOST, TIMES, TTLS, GeneratedHost, generated_hosts, policies, pressed
from tests.support.builders import LONG_AGO, NOW, decide, evicted_ids, make_id
from tests.support.times import HOUR

WHICH = st.integers(0, MOST - 1).map(lambda number: make_id(f"i{number}"))


@given(generated_hosts(), pressed(policies()), CONTEXTS)
def test_every_image_has_one_decision_and_a_sentence(world: GeneratedHost, rules: Policy, context: Context) -> None:
    plan = world.plan(rules, context)
    assert [item.image for item in plan.decisions] == list(world.images)
    assert all(item.explanation for item in plan.decisions)


@given(generated_hosts(), pressed(policies()), CONTEXTS)
def test_the_reason_says_whether_an_image_is_evicted(world: GeneratedHost, rules: Policy, context: Context) -> None:
    plan = world.plan(rules, context)
    assert all((item.action is Action.EVICT) is item.reason.evicts for item in plan.decisions)


@given(generated_hosts(), pressed(policies()), CONTEXTS)
def test_counts_by_reason_add_up_to_the_number_of_images(world: GeneratedHost, rules: Policy, context: Context) -> None:
    plan = world.plan(rules, context)
    counts = {reason: share.images for reason, share in totals.by_reason(plan).items()}
    assert counts == dict(Counter(item.reason for item in plan.decisions))
    assert sum(counts.values()) == len(world.images)


@given(generated_hosts(), pressed(policies()), CONTEXTS)
def test_what_is_used_or_not_pytorch_never_goes(world: GeneratedHost, rules: Policy, context: Context) -> None:
    held = {item.image_id for item in world.containers}
    for item in world.plan(rules, context).decisions:
        if item.image.id in held or item.verdict.kind.value == "other":
            assert item.action is Action.KEEP


@given(generated_hosts(), pressed(policies()), CONTEXTS, TTLS)
def test_no_image_that_docker_commit_made_goes_without_a_name(
    world: GeneratedHost, rules: Policy, context: Context, short: timedelta
) -> None:
    commits = replace(world, images=tuple(map(_nameless_commit, world.images)))
    assert evicted_ids(commits.plan(replace(rules, evict_local=False, dangling_after=short), context)) == set()


def _nameless_commit(item: Image) -> Image:
    assert item.details is not None
    return replace(item, references=(), origin=None, details=replace(item.details, committed=True))


# What can only make it evict less


@given(generated_hosts(), policies(), TTLS)
def test_a_longer_ttl_never_evicts_more(world: GeneratedHost, rules: Policy, more: timedelta) -> None:
    longer = replace(rules, ttl=rules.ttl + more)
    assert evicted_ids(world.plan(longer)) <= evicted_ids(world.plan(rules))


@given(generated_hosts(), policies(), TTLS)
def test_a_longer_ttl_of_a_rule_never_evicts_more(world: GeneratedHost, rules: Policy, more: timedelta) -> None:
    longer = replace(rules, rules=tuple(replace(rule, ttl=(rule.ttl or more) + more) for rule in rules.rules))
    assert evicted_ids(world.plan(longer)) <= evicted_ids(world.plan(rules))


@given(generated_hosts(), policies(), TTLS)
def test_a_longer_dangling_after_or_none_never_evicts_more(
    world: GeneratedHost, rules: Policy, more: timedelta
) -> None:
    short = replace(rules, dangling_after=more)
    for longer in (replace(rules, dangling_after=2 * more), replace(rules, dangling_after=None)):
        assert evicted_ids(world.plan(longer)) <= evicted_ids(world.plan(short))


@given(generated_hosts(), policies(), WHICH)
def test_a_pin_never_evicts_more(world: GeneratedHost, rules: Policy, which: str) -> None:
    pin = Pin(id=which, reference="", at=LONG_AGO)
    assert evicted_ids(world.plan(rules, Context(overrides=Overrides(pins=(pin,))))) <= evicted_ids(world.plan(rules))


@given(generated_hosts(), policies(), st.integers(1, 3))
def test_a_larger_keep_newest_never_evicts_more(world: GeneratedHost, rules: Policy, more: int) -> None:
    larger = replace(rules, keep_newest=rules.keep_newest + more)
    assert evicted_ids(world.plan(larger)) <= evicted_ids(world.plan(rules))


@given(generated_hosts(), policies(), st.integers(1, 3))
def test_a_keep_newest_by_rule_never_evicts_more(world: GeneratedHost, rules: Policy, count: int) -> None:
    more = Rule(match="team/*", keep_newest=rules.keep_newest + count)
    assert evicted_ids(world.plan(replace(rules, rules=(*rules.rules, more)))) <= evicted_ids(world.plan(rules))


@given(generated_hosts(), policies(), TIMES)
def test_a_gap_never_evicts_more(world: GeneratedHost, rules: Policy, end: datetime) -> None:
    assert evicted_ids(world.plan(rules, Context(gap_end=end))) <= evicted_ids(world.plan(rules))


@given(generated_hosts(), policies(), WHICH)
def test_a_container_never_evicts_more(world: GeneratedHost, rules: Policy, which: str) -> None:
    busier = replace(world, containers=(*world.containers, Container(id="more", image_id=which)))
    assert evicted_ids(busier.plan(rules)) <= evicted_ids(world.plan(rules))


@given(generated_hosts(), policies(), WHICH, TIMES)
def test_a_later_end_of_a_protection_never_evicts_more(
    world: GeneratedHost, rules: Policy, which: str, released: datetime
) -> None:
    later = tuple(
        replace(item, released=max(released, item.released or released)) if item.image_id == which else item
        for item in world.usages
    )
    assert evicted_ids(replace(world, usages=later).plan(rules)) <= evicted_ids(world.plan(rules))


@given(generated_hosts(), pressed(policies()), CONTEXTS)
def test_what_is_held_evicts_nothing(world: GeneratedHost, rules: Policy, context: Context) -> None:
    held = (
        replace(context, proven=False),
        replace(context, overrides=Overrides(paused=True)),
        replace(context, overrides=Overrides(readable=False)),
        replace(context, clock_trusted=False),
    )
    assert all(world.plan(rules, one).evictions == () for one in held)
    assert world.plan(replace(rules, observe=True), context).evictions == ()


# A changed policy


@given(generated_hosts(), pressed(policies()), pressed(policies()), CONTEXTS)
def test_a_change_evicts_during_its_grace_what_both_evict_and_after_it_what_the_new_one_does(
    world: GeneratedHost, old: Policy, new: Policy, context: Context
) -> None:
    alone, fresh = world.plan(new, context), replace(context, under_pressure=False)
    during = world.plan(new, replace(context, pending_policy=PendingPolicy(before=old, until=NOW + HOUR)))
    both = evicted_ids(alone) & evicted_ids(world.plan(old, fresh))
    assert (evicted_ids(during), {item.image.id for item in during.deferred}) == (both, evicted_ids(alone) - both)
    assert world.plan(new, replace(context, pending_policy=PendingPolicy(before=old, until=NOW))) == alone


@given(generated_hosts(), policies(), policies())
def test_during_the_grace_of_a_change_no_parent_goes_alone(world: GeneratedHost, old: Policy, new: Policy) -> None:
    plan = world.plan(new, Context(pending_policy=PendingPolicy(before=old, until=NOW + HOUR)))
    for parent, children in world.children.items():
        assert parent not in evicted_ids(plan) or children <= evicted_ids(plan)


# Order, bytes, and that it does go


@given(generated_hosts(), pressed(policies()), CONTEXTS)
def test_children_go_before_their_parents_and_no_parent_goes_alone(
    world: GeneratedHost, rules: Policy, context: Context
) -> None:
    order = [item.image.id for item in world.plan(rules, context).evictions]
    for parent in order:
        assert world.children[parent] <= set(order[: order.index(parent)])


@given(generated_hosts(), policies())
def test_idle_unprotected_unused_images_do_go(world: GeneratedHost, rules: Policy) -> None:
    """Liveness: a policy that never evicts passes every test of safety."""
    for item in world.plan(rules).decisions:
        if item.action is Action.KEEP and item.due is not None:
            later = decide(
                *world.images,
                usages=tuple(replace(one, protected=False) for one in world.usages),
                rules=rules,
                now=item.due,
            )
            then = next(one for one in later.decisions if one.image.id == item.image.id)
            assert then.action is Action.EVICT or then.reason is Reason.HAS_CHILDREN


@given(generated_hosts(), pressed(policies()), CONTEXTS)
def test_together_they_free_each_layer_once(world: GeneratedHost, rules: Policy, context: Context) -> None:
    plan = world.plan(rules, context)
    assert plan.estimated_bytes == freed(world, evicted_ids(plan))


def freed(world: GeneratedHost, going: set[str]) -> int:
    """The bytes of the layers that only these have."""
    everything = {layer for item in world.images for layer in _sizes(item)}
    kept = {layer for item in world.images if item.id not in going for layer in _sizes(item)}
    return sum(size for _, size in everything - kept)


def _sizes(item: Image) -> set[tuple[str, int]]:
    assert item.details is not None
    return set(zip(item.details.layers, (step.size_bytes for step in item.details.history), strict=True))


@given(generated_hosts(), policies())
def test_the_sweep_evicts_what_the_plan_shows(world: GeneratedHost, rules: Policy) -> None:
    left = world
    for planned in world.plan(rules).evictions:
        assert planning.passes_recheck(planned, left.plan(rules))
        left = left.without(planned.image.id)
    assert left.plan(rules).evictions == ()
