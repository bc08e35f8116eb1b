"""Disk pressure in a plan: what goes beyond what is due, in which order, and what stays nevertheless."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from agent.core.model import Image, Usage
from agent.core.policy import schedule
from agent.core.policy.decide import Context
from agent.core.policy.decision import HeldBy, Plan
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.schedule import Schedule
from agent.core.policy.settings import Limits, Policy, Pressure, Rule
from tests.core.builders import (
    DAY,
    HOUR,
    NOW,
    container,
    decide,
    disk,
    evicted,
    image,
    image_id,
    pytorch_image,
    usage,
    verdict,
)

HIGH_LOW = Pressure(high=0.85, low=0.75)
RULES = Policy(pressure=HIGH_LOW)
FULL = Context(disk=disk(900))  # of 1000: 150 are to be freed
SHUT = Schedule(windows=(schedule.parse("02:00-05:00"),))


def sized(name: str, size: int, *references: str, **changes: object) -> Image:
    return pytorch_image(name, *references, layers={f"sha256:{name}": size}, **changes)


A, B, C = (sized(name, 100) for name in "abc")
AGES = tuple(usage(item, last_used=NOW - days * DAY) for item, days in ((A, 3), (B, 2), (C, 1)))  # A goes first


def plan(*images: Image, rules: Policy = RULES, context: Context = FULL, usages: Iterable[Usage] = AGES) -> Plan:
    return decide(*(images or (A, B, C)), rules=rules, context=context, usages=tuple(usages))


def order(found: Plan) -> list[str]:
    """The IDs of what goes, in order."""
    return [item.image.id for item in found.evictions]


# When


@pytest.mark.parametrize(
    ("pressure", "context", "count"),
    [
        (Pressure(), FULL, 0),
        (HIGH_LOW, Context(disk=disk(850)), 0),
        (HIGH_LOW, Context(disk=disk(851)), 2),
        (HIGH_LOW, Context(disk=disk(850), under_pressure=True), 1),
        (HIGH_LOW, Context(disk=disk(751), under_pressure=True), 1),
        (HIGH_LOW, Context(disk=disk(750), under_pressure=True), 0),
        (HIGH_LOW, Context(disk=disk(950)), 2),
        (HIGH_LOW, Context(disk=disk(951)), 3),
        (HIGH_LOW, Context(), 0),
        (HIGH_LOW, Context(under_pressure=True), 0),
        (Pressure(budget=300), Context(), 0),
        (Pressure(budget=299), Context(), 1),
        (Pressure(budget=200), Context(), 1),
        (Pressure(budget=199), Context(), 2),
        (Pressure(budget=200), Context(disk=disk(999), under_pressure=True), 1),
        (Pressure(budget=300), Context(under_pressure=True), 0),
    ],
)
def test_above_high_so_many_go_until_low_or_until_the_budget(pressure: Pressure, context: Context, count: int) -> None:
    found = plan(rules=Policy(pressure=pressure), context=context)
    assert order(found) == [A.id, B.id, C.id][:count]
    assert (found.under_pressure, found.shortfall_bytes) == (count > 0, 0)
    assert {verdict(found, item) for item in (A, B, C)[:count]} <= {("evict", "disk-pressure")}
    assert {verdict(found, item) for item in (A, B, C)[count:]} <= {("keep", "recent")}


def test_the_budget_counts_compressed_layers_that_the_store_keeps_besides() -> None:
    one = sized("a", 100, packed_bytes=40)
    assert not plan(one, rules=Policy(pressure=Pressure(budget=140))).under_pressure
    assert plan(one, rules=Policy(pressure=Pressure(budget=139))).under_pressure


def test_a_layer_of_several_images_counts_once_in_the_budget() -> None:
    both = {"sha256:base": 100}
    one = pytorch_image("one", layers={**both, "sha256:1": 1})
    other = pytorch_image("other", layers={**both, "sha256:2": 1})
    known = tuple(usage(item, last_used=NOW - DAY) for item in (one, other))
    assert not plan(one, other, rules=Policy(pressure=Pressure(budget=102)), usages=known).under_pressure
    assert plan(one, other, rules=Policy(pressure=Pressure(budget=101)), usages=known).under_pressure


def test_what_is_due_anyway_counts_first() -> None:
    due = sized("d", 150)
    found = plan(A, due, usages=(*AGES, usage(due)))
    assert (verdict(found, due), verdict(found, A)) == (("evict", "idle-ttl"), ("keep", "recent"))


def test_what_is_still_wanting_when_everything_goes_is_told() -> None:
    found = plan(A)
    assert (order(found), found.under_pressure, found.shortfall_bytes, found.estimated_bytes) == ([A.id], True, 50, 100)


def test_without_pressure_nothing_is_wanting() -> None:
    found = plan(context=Context(disk=disk(800)))
    assert (found.under_pressure, found.shortfall_bytes) == (False, 0)


# What stays


KEPT = [
    ("what is in use", A, {"containers": (container(A),)}, Policy(), "in-use"),
    ("what is excluded", A, {}, Policy(exclude=("team/*",)), "excluded"),
    ("what include leaves out", A, {}, Policy(include=("x/*",)), "excluded"),
    ("a pin", A, {"context": replace(FULL, overrides=Overrides(pins=(Pin(id=A.id, reference="", at=NOW),)))}, Policy(),
     "pinned"),
    ("a keep label", sized("a", 100, labels={"torchkeeper.keep": "1"}), {}, Policy(), "label-keep"),
    ("a protected tag", sized("a", 100, "team/a:latest"), {}, Policy(), "protected-tag"),
    ("a rule", A, {}, Policy(rules=(Rule(match="team/*", keep=True),)), "rule-keep"),
    ("the newest", sized("a", 100, "team/a:2.9"), {}, Policy(keep_newest=1), "keep-newest"),
    ("what may exist nowhere else", sized("a", 100, origin=None), {}, Policy(), "local-only"),
    ("what just arrived", A, {"usages": (usage(A, arrived=NOW - HOUR / 2),)}, Policy(), "min-age"),
    ("what a gap may hide a use of", A, {"usages": (usage(A),), "context": replace(FULL, gap_end=NOW)}, Policy(),
     "gap"),
    ("what is not PyTorch", image("a"), {}, Policy(), "not-pytorch"),
    ("what may be PyTorch", image("a", "team/torchlike:1"), {}, Policy(), "ambiguous"),
    ("what is not known", Image(id=image_id("a"), size_bytes=100), {}, Policy(), "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "asked", "given", "rules", "reason"), KEPT, ids=[case[0] for case in KEPT])
def test_pressure_leaves(what: str, asked: Image, given: dict[str, object], rules: Policy, reason: str) -> None:
    given = {"usages": AGES, "context": FULL, **given}
    found = decide(asked, rules=replace(rules, pressure=HIGH_LOW), **given)  # type: ignore[arg-type]
    assert (verdict(found, asked), found.under_pressure, found.shortfall_bytes) == (("keep", reason), True, 150)


def test_pressure_passes_over_what_is_kept_and_takes_the_next() -> None:
    held = replace(FULL, overrides=Overrides(pins=(Pin(id=A.id, reference="", at=NOW),)))
    assert order(plan(context=held)) == [B.id, C.id]


def test_a_longer_ttl_by_rule_or_label_does_not_hold_under_pressure() -> None:
    labelled = sized("a", 150, labels={"torchkeeper.ttl": "99d"})
    rules = replace(RULES, rules=(Rule(match="*", ttl=99 * DAY),))
    assert order(plan(labelled, rules=rules)) == [A.id]


# In which order


def test_of_those_used_at_the_same_time_the_one_that_frees_the_most_goes_first() -> None:
    small, big = sized("s", 10), sized("t", 150)
    known = tuple(usage(item, last_used=NOW - DAY) for item in (small, big))
    assert order(plan(small, big, usages=known)) == [big.id]


def test_a_child_goes_before_its_parent_though_it_was_used_later() -> None:
    parent, child = sized("p", 100), pytorch_image("q", parent=image_id("p"), layers={"sha256:p": 100, "sha256:q": 60})
    known = (usage(parent, last_used=NOW - 3 * DAY), usage(child, last_used=NOW - DAY))
    assert order(plan(parent, child, usages=known)) == [child.id, parent.id]


def test_a_parent_waits_behind_what_was_used_before_its_child() -> None:
    parent, child = sized("p", 100), pytorch_image("q", parent=image_id("p"), layers={"sha256:p": 100, "sha256:q": 60})
    known = (usage(parent, last_used=NOW - 9 * DAY), usage(child, last_used=NOW - DAY))
    assert order(plan(parent, child, A, B, usages=(*AGES, *known))) == [A.id, B.id]


def test_a_parent_whose_child_stays_is_passed_over() -> None:
    parent = sized("p", 100)
    child = pytorch_image("q", "team/q:latest", parent=parent.id)
    found = plan(parent, child, A, usages=(*AGES, usage(parent, last_used=NOW - 9 * DAY)))
    assert (order(found), verdict(found, parent)) == ([A.id], ("keep", "recent"))


def test_a_due_parent_goes_with_its_last_child_and_what_it_frees_counts() -> None:
    parent = sized("p", 140)
    child = pytorch_image("q", parent=parent.id, layers={"sha256:p": 140, "sha256:q": 10})
    known = (usage(parent), usage(child, last_used=NOW - 4 * DAY))
    found = plan(parent, child, A, usages=(*AGES, *known))
    assert order(found) == [child.id, parent.id]
    assert verdict(found, parent) == ("evict", "idle-ttl")


def test_a_step_goes_with_its_last_child_and_what_is_below_the_step_may_go_after_it() -> None:
    base = sized("p", 100)
    step = pytorch_image("s", references=(), origin=None, parent=base.id, layers={"sha256:p": 100, "sha256:s": 20})
    layers = {"sha256:p": 100, "sha256:s": 20, "sha256:q": 30}
    child = pytorch_image("q", parent=step.id, layers=layers)
    known = tuple(usage(item, last_used=NOW - days * DAY) for item, days in ((base, 9), (step, 14), (child, 4)))
    found = plan(base, step, child, usages=known)
    reasons = [verdict(found, item)[1] for item in (child, step, base)]
    assert (order(found), reasons) == ([child.id, step.id, base.id], ["disk-pressure", "dangling", "disk-pressure"])
    assert found.shortfall_bytes == 0


def test_a_step_that_was_used_within_its_ttl_stays_under_pressure_and_what_is_below_it_as_well() -> None:
    base = sized("p", 100)
    step = pytorch_image("s", references=(), origin=None, parent=base.id, layers={"sha256:p": 100, "sha256:s": 20})
    child = pytorch_image("q", parent=step.id, layers={"sha256:p": 100, "sha256:s": 20, "sha256:q": 30})
    known = tuple(usage(item, last_used=NOW - days * DAY) for item, days in ((base, 9), (step, 13), (child, 4)))
    found = plan(base, step, child, usages=known)
    assert (order(found), verdict(found, step)) == ([child.id], ("keep", "local-only"))


def test_in_a_gap_nothing_goes_in_the_stead_of_what_the_gap_keeps() -> None:
    due = sized("d", 150)
    found = plan(A, due, usages=(*AGES, usage(due)), context=replace(FULL, gap_end=NOW))
    assert ([verdict(found, item)[1] for item in (due, A)], order(found)) == (["gap", "recent"], [])


def test_in_a_gap_nothing_goes_in_the_stead_of_a_parent_whose_child_the_gap_keeps() -> None:
    """Without the gap the child is due, and the parent, used before A, goes next."""
    parent = sized("p", 140)
    child = pytorch_image("q", parent=parent.id, layers={"sha256:p": 140, "sha256:q": 10})
    known = (*AGES, usage(parent, last_used=NOW - 9 * DAY), usage(child))
    assert order(plan(parent, child, A, usages=known)) == [child.id, parent.id]
    assert order(plan(parent, child, A, usages=known, context=replace(FULL, gap_end=NOW))) == []


# What holds it, and what is told


@pytest.mark.parametrize(
    ("rules", "context", "held_by"),
    [
        (replace(RULES, observe=True), FULL, HeldBy.OBSERVE),
        (replace(RULES, schedule=SHUT), FULL, HeldBy.WINDOW),
        (RULES, replace(FULL, proven=False), HeldBy.UNPROVEN),
        (RULES, replace(FULL, clock_trusted=False), HeldBy.CLOCK),
        (RULES, replace(FULL, overrides=Overrides(paused=True)), HeldBy.PAUSED),
        (RULES, replace(FULL, overrides=Overrides(readable=False)), HeldBy.PAUSED),
        (RULES, replace(FULL, backoff={A.id: NOW + DAY}), HeldBy.BACKOFF),
    ],
)
def test_what_holds_every_eviction_holds_under_pressure(rules: Policy, context: Context, held_by: HeldBy) -> None:
    found = plan(A, rules=rules, context=context)
    assert [(item.reason.value, item.held_by) for item in found.decisions] == [("disk-pressure", held_by)]
    assert (found.evictions, found.under_pressure) == ((), True)


def test_limits_hold_under_pressure() -> None:
    found = plan(rules=replace(RULES, limits=Limits(evictions_per_sweep=1)))
    assert (order(found), evicted(found)) == ([A.id], {A.id, B.id})


SENTENCES = [
    (RULES, FULL, "disk 90% full (high 85%, low 75%)"),
    (RULES, Context(disk=replace(disk(100), used_inodes=90, available_inodes=10)),
     "disk's inodes 90% full (high 85%, low 75%)"),
    (Policy(pressure=Pressure(budget=50)), Context(), "images take 100 B (budget 50 B)"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "context", "state"), SENTENCES)
def test_the_sentence_tells_the_state_of_the_disk(rules: Policy, context: Context, state: str) -> None:
    found = plan(A, rules=rules, context=context)
    assert found.decisions[0].explanation == f"{state}; idle 3 d; frees about 100 B"
    assert found.pressure == state


def test_a_disk_that_cannot_be_seen_is_told() -> None:
    assert plan(context=Context()).pressure == "the agent cannot see the engine's disk"
    assert plan(rules=Policy(), context=FULL).pressure == ""


def test_it_is_no_matter_of_time_when_an_image_goes_under_pressure() -> None:
    found = plan(A)
    assert (found.decisions[0].due, found.next_due) == (None, None)
