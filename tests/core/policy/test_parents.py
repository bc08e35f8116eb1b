"""Parents and children of the classic builder, and the recheck."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.core.model import Image, Snapshot
from agent.core.policy import planning
from agent.core.policy.decide import Context
from agent.core.policy.decision import Plan
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Policy, Rule
from agent.core.pytorch import classify
from tests.core.builders import DAY, HOUR, LONG_AGO, NOW, container, decide, image, pytorch_image, usage, verdict

MOMENT = timedelta(microseconds=1)
PARENT = pytorch_image("p")
CHILD = pytorch_image("c", parent=PARENT.id)


def step(name: str, parent: str = "", **changes: object) -> Image:
    """An untagged intermediate image: it exists nowhere else."""
    return pytorch_image(name, references=(), origin=None, parent=parent, **changes)


def test_a_parent_stays_while_its_child_stays() -> None:
    plan = decide(PARENT, CHILD, usages=(usage(CHILD, last_used=NOW),))
    assert (verdict(plan, PARENT), verdict(plan, CHILD)) == (("keep", "has-children"), ("keep", "recent"))


def test_a_child_goes_before_its_parent() -> None:
    plan = decide(PARENT, CHILD, usages=(usage(PARENT, last_used=LONG_AGO - DAY),))
    assert [item.image.id for item in plan.evictions] == [CHILD.id, PARENT.id]


def test_a_parent_waits_for_a_child_that_is_held() -> None:
    plan = decide(PARENT, CHILD, context=Context(backoff={CHILD.id: NOW + DAY}))
    assert (verdict(plan, PARENT), plan.evictions) == (("evict", "idle-ttl"), ())


def test_a_grandparent_waits_for_a_grandchild_that_is_held() -> None:
    grandchild = pytorch_image("g", parent=CHILD.id)
    plan = decide(PARENT, CHILD, grandchild, context=Context(backoff={grandchild.id: NOW + DAY}))
    assert plan.evictions == ()


def test_untagged_steps_go_with_the_last_image_built_on_them() -> None:
    below, above = step("s1"), step("s2", parent=pytorch_image("s1").id)
    child = pytorch_image("c", parent=above.id)
    plan = decide(below, above, child)
    assert [(item.image.id, item.reason.value) for item in plan.evictions] == [
        (child.id, "idle-ttl"),
        (above.id, "dangling"),
        (below.id, "dangling"),
    ]


TTL = Policy().ttl
IDLE = [
    ("used a TTL ago", {"last_used": NOW - TTL}, {}, "dangling"),
    ("used a moment less ago", {"last_used": NOW - TTL + MOMENT}, {}, "local-only"),
    ("never used, and seen for a TTL", {"last_used": None, "first_seen": NOW - TTL}, {}, "dangling"),
    ("never used, and listed a moment after its build", {"last_used": NOW - TTL, "first_seen": NOW - TTL + MOMENT}, {},
     "dangling"),
    ("pinned until lately", {"released": NOW - DAY}, {}, "local-only"),
    ("without a name only lately", {"references_changed": NOW - HOUR / 2}, {}, "local-only"),
    ("kept by a gap", {}, {"context": Context(gap_end=NOW - DAY)}, "local-only"),
    ("a TTL after the gap", {}, {"context": Context(gap_end=NOW - TTL)}, "dangling"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "known", "given", "reason"), IDLE, ids=[case[0] for case in IDLE])
def test_a_step_goes_with_the_last_image_built_on_it_once_its_own_time_has_passed(
    what: str, known: dict[str, object], given: dict[str, object], reason: str
) -> None:
    below = step("s1")
    child = pytorch_image("c", parent=below.id)
    short = Policy(rules=(Rule(match="team/*", ttl=HOUR),))  # what is built on it goes before that
    plan = decide(below, child, usages=(usage(below, **known),), rules=short, **given)  # type: ignore[arg-type]
    assert verdict(plan, child) == ("evict", "idle-ttl")
    assert verdict(plan, below)[1] == reason


def test_nobody_knows_how_a_step_was_used_before_the_watch_began() -> None:
    below = step("s1")
    child = pytorch_image("c", parent=below.id)
    began = {"first_seen": NOW - DAY, "last_used": None}
    known = (usage(below, **began), usage(child, **began))
    plan = decide(below, child, usages=known, rules=Policy(rules=(Rule(match="team/*", ttl=HOUR),)))
    assert (verdict(plan, child)[0], verdict(plan, below)) == ("evict", ("keep", "local-only"))


def test_a_step_of_which_no_usage_is_known_stays() -> None:
    below, child = step("s1"), pytorch_image("c", parent=step("s1").id)
    images, usages = (below, child), {child.id: usage(child)}
    plan = planning.plan(Snapshot(at=NOW, images=images), classify.classify(images), usages, Policy(), NOW, Context())
    assert (verdict(plan, child)[0], verdict(plan, below)) == ("evict", ("keep", "local-only"))


def test_a_label_lengthens_the_time_of_a_step() -> None:
    below = step("s1", labels={"torchkeeper.ttl": "200d"})
    plan = decide(below, pytorch_image("c", parent=below.id))
    assert verdict(plan, below) == ("keep", "local-only")


def test_a_step_below_one_that_stays_stays() -> None:
    below = step("s1")
    above = step("s2", parent=below.id)
    child = pytorch_image("c", parent=above.id)
    plan = decide(below, above, child, usages=(usage(above, last_used=NOW - DAY),))
    assert [item.image.id for item in plan.evictions] == [child.id]


STAYING = [
    ("not PyTorch", image("s1", references=(), origin=None), {}, "not-pytorch"),
    ("made by docker commit", step("s1", committed=True), {}, "local-only"),
    ("labelled keep", step("s1", labels={"torchkeeper.keep": "1"}), {}, "label-keep"),
    ("used by a container", step("s1"), {"containers": (container(step("s1")),)}, "in-use"),
    (
        "pinned",
        step("s1"),
        {"context": Context(overrides=Overrides(pins=(Pin(id=step("s1").id, reference="", at=LONG_AGO),)))},
        "pinned",
    ),
]


@pytest.mark.parametrize(("what", "below", "given", "reason"), STAYING, ids=[case[0] for case in STAYING])
def test_an_untagged_step_stays_where_it_is(what: str, below: Image, given: dict[str, object], reason: str) -> None:
    child = pytorch_image("c", parent=below.id)
    plan = decide(below, child, **given)  # type: ignore[arg-type]
    assert (verdict(plan, below), verdict(plan, child)) == (("keep", reason), ("evict", "idle-ttl"))


def test_a_tagged_parent_is_no_step_and_is_judged_by_itself() -> None:
    local = pytorch_image("p", origin=None)
    plan = decide(local, CHILD)
    assert verdict(plan, local) == ("keep", "local-only")


def test_a_step_with_another_child_that_stays_is_left() -> None:
    below = step("s1")
    one, other = pytorch_image("c1", parent=below.id), pytorch_image("c2", parent=below.id)
    plan = decide(below, one, other, usages=(usage(other, last_used=NOW),))
    assert verdict(plan, below) == ("keep", "local-only")


def test_a_cycle_of_parents_ends() -> None:
    one = pytorch_image("a", parent=pytorch_image("b").id)
    other = pytorch_image("b", parent=one.id)
    assert len(decide(one, other).decisions) == 2


def test_the_recheck_lets_go_on_what_still_stands() -> None:
    plan = decide(PARENT)
    assert planning.passes_recheck(plan.evictions[0], decide(PARENT))


RECHECKS = [
    ("it is used now", decide(PARENT, containers=(container(PARENT),))),
    ("it was used meanwhile", decide(PARENT, usages=(usage(PARENT, last_used=NOW),))),
    ("its references changed", decide(replace(PARENT, references=("team/p:1", "x/p:2")))),
    ("it is gone", decide(CHILD)),
    ("the stream is no longer proven", decide(PARENT, context=Context(proven=False))),
    ("it is paused", decide(PARENT, context=Context(overrides=Overrides(paused=True)))),
    ("a child was built on it", decide(PARENT, CHILD, usages=(usage(CHILD, last_used=NOW),))),
]


@pytest.mark.parametrize(("what", "fresh"), RECHECKS, ids=[case[0] for case in RECHECKS])
def test_the_recheck_holds_back_where(what: str, fresh: Plan) -> None:
    assert not planning.passes_recheck(decide(PARENT).evictions[0], fresh)


def test_the_recheck_of_a_step_is_by_what_it_is_after_its_child_went() -> None:
    below = step("s1")
    child = pytorch_image("c", parent=below.id)
    planned = decide(below, child).evictions[1]
    assert planning.passes_recheck(planned, decide(below))
    assert not planning.passes_recheck(planned, decide(below, usages=(usage(below, last_used=NOW - DAY),)))
    assert not planning.passes_recheck(planned, decide(below, child, usages=(usage(child, last_used=NOW),)))
    assert not planning.passes_recheck(planned, decide(below, containers=(container(below),)))
    assert not planning.passes_recheck(planned, decide(below, rules=Policy(observe=True)))
