"""`cleanup.dangling_after`: images without any name, and what goes as such."""

import pytest

from agent.core.model import Usage
from agent.core.policy import planning
from agent.core.policy.decide import Context
from agent.core.policy.settings import Policy, Rule
from tests.core.builders import DAY, HOUR, LONG_AGO, NOW, container, decide, image, only, pytorch_image, usage, verdict

NAMELESS = pytorch_image("a", references=())
LOCAL = pytorch_image("a", references=(), origin=None)
BY_DIGEST = pytorch_image("a", references=(), digests=("team/a@sha256:1",))
TAGGED = pytorch_image("a")
LABELLED = pytorch_image("a", references=(), labels={"torchkeeper.ttl": "30d"})
LOCAL_LABELLED = pytorch_image("a", references=(), origin=None, labels={"torchkeeper.ttl": "30d"})
COMMIT = pytorch_image("a", references=(), origin=None, committed=True)
TWO_DAYS = Policy(dangling_after=2 * DAY)
MONTH = Policy(dangling_after=30 * DAY)


def idle(days: float, **changes: object) -> tuple[Usage, ...]:
    return (usage(NAMELESS, last_used=NOW - days * DAY, **changes),)


CASES = [
    ("off: an image without a name has the ordinary TTL", NAMELESS, idle(3), Policy(), {}, "keep", "recent"),
    ("off: a local one stays", LOCAL, idle(99), Policy(), {}, "keep", "local-only"),
    ("for just so long", NAMELESS, idle(2), TWO_DAYS, {}, "evict", "dangling"),
    ("for a moment less", NAMELESS, idle(1.999), TWO_DAYS, {}, "keep", "recent"),
    ("a local one too", LOCAL, idle(2), TWO_DAYS, {}, "evict", "dangling"),
    ("a local one for a moment less", LOCAL, idle(1.999), TWO_DAYS, {}, "keep", "recent"),
    ("a local one whose TTL alone has passed", LOCAL, idle(20), MONTH, {}, "keep", "recent"),
    ("one that can be pulled again has its TTL as well", NAMELESS, idle(20), MONTH, {}, "evict", "idle-ttl"),
    ("a local one, allowed to go, has its TTL as well", LOCAL, idle(20), Policy(dangling_after=30 * DAY,
     evict_local=True), {}, "evict", "idle-ttl"),
    ("one that docker commit made stays", COMMIT, idle(99), TWO_DAYS, {}, "keep", "local-only"),
    ("one that docker commit made, allowed to go, has its TTL", COMMIT, idle(3), Policy(dangling_after=2 * DAY,
     evict_local=True), {}, "keep", "recent"),
    ("and ends by it", COMMIT, idle(14), Policy(dangling_after=2 * DAY, evict_local=True), {}, "evict", "idle-ttl"),
    ("one with a digest has the ordinary TTL", BY_DIGEST, idle(3), TWO_DAYS, {}, "keep", "recent"),
    ("one with a digest goes by it", BY_DIGEST, idle(14), TWO_DAYS, {}, "evict", "idle-ttl"),
    ("one with a tag is not meant", TAGGED, idle(3), TWO_DAYS, {}, "keep", "recent"),
    ("a rule for names is not for one without any", NAMELESS, idle(3), Policy(rules=(Rule(match="*", ttl=DAY),)), {},
     "keep", "recent"),
    ("a label lengthens it", LABELLED, idle(29.9), TWO_DAYS, {}, "keep", "recent"),
    ("and ends", LABELLED, idle(30), TWO_DAYS, {}, "evict", "dangling"),
    ("a label lengthens it for a local one", LOCAL_LABELLED, idle(29.9), TWO_DAYS, {}, "keep", "recent"),
    ("a label keeps", pytorch_image("a", references=(), labels={"torchkeeper.keep": "1"}), idle(99), TWO_DAYS, {},
     "keep", "label-keep"),
    ("not from before it lost its name", LOCAL, idle(9, references_changed=NOW - DAY), TWO_DAYS, {}, "keep", "recent"),
    ("from when it lost its name", LOCAL, idle(9, references_changed=NOW - 2 * DAY), TWO_DAYS, {}, "evict", "dangling"),
    ("not within min_age", LOCAL, idle(9, references_changed=NOW), Policy(dangling_after=HOUR / 2), {}, "keep",
     "min-age"),
    ("not while a container has it", LOCAL, idle(9), TWO_DAYS, {"containers": (container(LOCAL),)}, "keep", "in-use"),
    ("not while include is set", LOCAL, idle(9), Policy(dangling_after=2 * DAY, include=("*",)), {}, "keep",
     "excluded"),
    ("not what is not PyTorch", image("a", references=()), idle(9), TWO_DAYS, {}, "keep", "not-pytorch"),
    ("not while a gap may hide its use", LOCAL, idle(9), TWO_DAYS, {"context": Context(gap_end=NOW - DAY)}, "keep",
     "gap"),
    ("once the gap is so long ago", LOCAL, idle(9), TWO_DAYS, {"context": Context(gap_end=NOW - 2 * DAY)}, "evict",
     "dangling"),
    ("not since a protection ended", LOCAL, idle(9, released=NOW - DAY), TWO_DAYS, {}, "keep", "recent"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "asked", "known", "rules", "given", "action", "reason"), CASES, ids=[case[0] for case in CASES]
)
def test_an_image_without_a_name_goes(
    what: str,
    asked: object,
    known: tuple[Usage, ...],
    rules: Policy,
    given: dict[str, object],
    action: str,
    reason: str,
) -> None:
    plan = decide(asked, usages=known, rules=rules, **given)  # type: ignore[arg-type]
    assert verdict(plan, asked) == (action, reason)  # type: ignore[arg-type]


def test_it_is_due_when_both_have_passed() -> None:
    known = idle(1, references_changed=NOW - HOUR / 2)
    decision = only(decide(LOCAL, usages=known, rules=TWO_DAYS))
    assert decision.due == NOW - HOUR / 2 + 2 * DAY
    decision = only(decide(LOCAL, usages=known, rules=Policy(dangling_after=HOUR / 4)))
    assert (decision.reason.value, decision.due) == ("min-age", NOW + HOUR / 2)


SENTENCES = [
    (NAMELESS, 3, "idle 3 d, without a name, cleanup.dangling_after 2 d; frees about 1.0 kB"),
    (NAMELESS, 1, "idle 1 d, without a name, cleanup.dangling_after 2 d; due in 1 d"),
    (LOCAL_LABELLED, 31, "idle 31 d, without a name, label torchkeeper.ttl 30 d; frees about 1.0 kB"),
    (BY_DIGEST, 1, "idle 1 d, TTL 14 d; due in 13 d"),
]


@pytest.mark.parametrize(("asked", "days", "sentence"), SENTENCES)
def test_the_sentence_names_what_ends_its_stay(asked: object, days: int, sentence: str) -> None:
    plan = decide(asked, usages=idle(days), rules=TWO_DAYS)  # type: ignore[arg-type]
    assert only(plan).explanation == sentence


def test_a_step_of_a_build_stays_while_an_image_on_it_stays() -> None:
    child = pytorch_image("c", parent=LOCAL.id)
    plan = decide(LOCAL, child, usages=(usage(child, last_used=NOW),), rules=TWO_DAYS)
    assert verdict(plan, LOCAL) == ("keep", "has-children")


@pytest.mark.parametrize("labels", [{}, {"torchkeeper.keep": "1"}], ids=["no label", "a keep label"])
def test_include_holds_a_step_of_a_build_in_the_plan_as_in_the_recheck(labels: dict[str, str]) -> None:
    """Nothing that `include` names can name a step, so it would be planned each time and never go."""
    step = pytorch_image("s", references=(), labels=labels)
    child = pytorch_image("c", parent=step.id)
    rules = Policy(include=("team/*",))
    plan = decide(step, child, rules=rules)
    assert (verdict(plan, step), verdict(plan, child)) == (("keep", "excluded"), ("evict", "idle-ttl"))


def test_a_step_that_is_only_perhaps_pytorch_once_its_child_is_gone_stays() -> None:
    """Its child's evidence may have been all that told."""
    step = image("s", references=(), env={"TORCH_CUDA_ARCH_LIST": "9.0"})
    sure = pytorch_image("s", references=())
    child = pytorch_image("c", parent=sure.id)
    planned = decide(sure, child).evictions[1]
    fresh = decide(step, usages=(usage(step, last_used=LONG_AGO),))
    assert verdict(fresh, step) == ("keep", "ambiguous")
    assert not planning.passes_recheck(planned, fresh)
