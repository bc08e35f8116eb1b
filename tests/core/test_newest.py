"""`keep_newest`: so many of each repository, scheme, flavour and major version of the accelerator."""

import pytest

from agent.core.judge import Context
from agent.core.model import Holds, Image, Pin, Policy, Rule
from tests.core.builders import DAY, LONG_AGO, NOW, container, decide, image, pytorch_image, usage, verdict

REPO = "team/pytorch"


def builds(*references: str) -> dict[str, Image]:
    """Tag -> an image of one name."""
    return {reference: pytorch_image(f"i{number}", reference) for number, reference in enumerate(references)}


def kept(images: dict[str, Image], rules: Policy) -> set[str]:
    """The references of what `keep_newest` keeps; all else must go."""
    plan = decide(*images.values(), rules=rules)
    found = {name for name, item in images.items() if verdict(plan, item) == ("keep", "keep-newest")}
    assert all(verdict(plan, item) == ("evict", "idle-ttl") for name, item in images.items() if name not in found)
    return found


def tags(*written: str) -> list[str]:
    return [f"{REPO}:{tag}" for tag in written]


LINES = [
    ("none is asked for", 0, tags("2.8.0", "2.9.0"), ()),
    ("the newest by version, not by text", 1, tags("2.9.0", "2.10.0"), tags("2.10.0")),
    ("the newest two", 2, tags("2.7.1", "2.9.0", "2.8.0"), tags("2.9.0", "2.8.0")),
    ("as many as there are", 9, tags("2.8.0", "2.9.0"), tags("2.8.0", "2.9.0")),
    ("a final before its candidate", 1, tags("2.9.0rc1", "2.9.0"), tags("2.9.0")),
    ("each repository by itself", 1, ["a/torch:2.8.0", "b/torch:2.9.0"], ["a/torch:2.8.0", "b/torch:2.9.0"]),
    ("each registry by itself", 1, ["r.io/a/torch:2.8.0", "a/torch:2.9.0"], ["r.io/a/torch:2.8.0", "a/torch:2.9.0"]),
    ("NGC's dates against themselves", 1, tags("24.01-py3", "25.10-py3", "2.9.0"), tags("25.10-py3", "2.9.0")),
    ("an embedded version against itself", 1, tags("pytorch-2.8.0", "2.9.0"), tags("pytorch-2.8.0", "2.9.0")),
    ("each flavour by itself", 1, tags("2.9.0-runtime", "2.8.0-devel", "2.7.0-devel"),
     tags("2.9.0-runtime", "2.8.0-devel")),
    ("each major version of CUDA by itself", 1, tags("2.9.0-cuda12.8", "2.8.0-cuda12.6", "2.7.0-cuda11.8"),
     tags("2.9.0-cuda12.8", "2.7.0-cuda11.8")),
    ("cu118 is cuda11.8", 1, tags("2.9.0-cu118", "2.8.0-cuda11.8"), tags("2.9.0-cu118")),
    ("ROCm beside CUDA", 1, tags("2.9.0-cuda12.8", "2.8.0-rocm6.1"), tags("2.9.0-cuda12.8", "2.8.0-rocm6.1")),
    ("the CPU beside CUDA", 1, tags("2.9.0-cuda12.8", "2.8.0-cpu"), tags("2.9.0-cuda12.8", "2.8.0-cpu")),
    ("of one version the newest CUDA of its major", 1, tags("2.9.0-cuda12.10", "2.9.0-cuda12.8"),
     tags("2.9.0-cuda12.10")),
    ("a version counts before CUDA", 1, tags("2.9.0-cuda12.1", "2.8.0-cuda12.8"), tags("2.9.0-cuda12.1")),
    ("opaque tags are no versions", 2, tags("main", "sha-0123abc", "20240131"), ()),
    ("opaque tags take no place", 1, tags("main", "2.8.0"), tags("2.8.0")),
]  # fmt: skip


@pytest.mark.parametrize(("what", "count", "given", "expected"), LINES, ids=[case[0] for case in LINES])
def test_of_the_builds_are_kept(what: str, count: int, given: list[str], expected: list[str]) -> None:
    assert kept(builds(*given), Policy(keep_newest=count, protect=())) == set(expected)


BY_RULE = [
    ("a rule for one repository", 0, (Rule(match="a/*", keep_newest=1),), {"a/torch:2.9.0"}),
    ("a rule of less than the policy", 2, (Rule(match="a/*", keep_newest=1),),
     {"a/torch:2.9.0", "b/torch:2.9.0", "b/torch:2.8.0"}),
    ("a rule of none", 1, (Rule(match="a/*", keep_newest=0),), {"b/torch:2.9.0"}),
    ("of several rules the most", 0, (Rule(match="a/*", keep_newest=1), Rule(match="*", keep_newest=2)),
     {"a/torch:2.9.0", "a/torch:2.8.0", "b/torch:2.9.0", "b/torch:2.8.0"}),
    ("a rule that says nothing of it", 1, (Rule(match="a/*", ttl=DAY),), {"a/torch:2.9.0", "b/torch:2.9.0"}),
    ("a rule for one tag counts its place among all", 0, (Rule(match="a/torch:2.8.0", keep_newest=1),), set()),
    ("a rule for one tag that is far enough up", 0, (Rule(match="a/torch:2.8.0", keep_newest=2),), {"a/torch:2.8.0"}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "count", "rules", "expected"), BY_RULE, ids=[case[0] for case in BY_RULE])
def test_by_rule_are_kept(what: str, count: int, rules: tuple[Rule, ...], expected: set[str]) -> None:
    given = builds("a/torch:2.9.0", "a/torch:2.8.0", "b/torch:2.9.0", "b/torch:2.8.0")
    assert kept(given, Policy(keep_newest=count, rules=rules)) == expected


def test_an_image_with_several_names_takes_one_place() -> None:
    both = pytorch_image("both", *tags("2.9.0", "2.9.1"))
    old = pytorch_image("old", *tags("2.8.0"))
    plan = decide(both, old, rules=Policy(keep_newest=2))
    assert (verdict(plan, both), verdict(plan, old)) == (("keep", "keep-newest"),) * 2


def test_an_image_is_kept_where_it_is_the_newest_by_any_of_its_names() -> None:
    older = pytorch_image("older", "a/torch:2.8.0", "b/torch:2.8.0")
    newer = pytorch_image("newer", "a/torch:2.9.0")
    plan = decide(older, newer, rules=Policy(keep_newest=1))
    assert (verdict(plan, older), verdict(plan, newer)) == (("keep", "keep-newest"),) * 2


def test_of_one_version_and_accelerator_the_one_built_last_is_newer() -> None:
    first = pytorch_image("first", *tags("2.9.0"), created=LONG_AGO)
    last = pytorch_image("last", *tags("v2.9.0"), created=LONG_AGO + DAY)
    unknown = pytorch_image("unknown", *tags("2.9"))
    plan = decide(last, unknown, first, rules=Policy(keep_newest=1))
    assert [verdict(plan, item)[1] for item in (first, last, unknown)] == ["idle-ttl", "keep-newest", "idle-ttl"]


def test_a_full_tie_keeps_the_same_one_in_any_order() -> None:
    one, other = pytorch_image("a", *tags("2.9.0")), pytorch_image("b", *tags("v2.9.0"))
    rules = Policy(keep_newest=1)
    plans = [decide(one, other, rules=rules), decide(other, one, rules=rules)]
    assert [{item.image.id for item in plan.evictions} for plan in plans] == [{one.id}, {one.id}]


def test_the_image_itself_tells_an_accelerator_that_its_tag_does_not() -> None:
    eleven = pytorch_image("x", *tags("2.8.0"), env={"PYTORCH_VERSION": "2.8.0", "CUDA_VERSION": "11.8.0"})
    twelve = pytorch_image("y", *tags("2.9.0"), env={"PYTORCH_VERSION": "2.9.0", "CUDA_VERSION": "12.8.0"})
    plan = decide(eleven, twelve, rules=Policy(keep_newest=1))
    assert (verdict(plan, eleven), verdict(plan, twelve)) == (("keep", "keep-newest"),) * 2


def test_what_is_not_pytorch_takes_no_place() -> None:
    stranger, ours = image("p", "team/db:16.1"), pytorch_image("a", "team/db:15.0")
    plan = decide(stranger, ours, rules=Policy(keep_newest=1))
    assert (verdict(plan, stranger), verdict(plan, ours)) == (("keep", "not-pytorch"), ("keep", "keep-newest"))


def test_what_is_kept_for_another_reason_takes_its_place() -> None:
    """A line's newest is its newest, whoever else wants it."""
    given = builds(*tags("2.9.0", "2.8.0"))
    new, old = given.values()
    pin = Context(holds=Holds(pins=(Pin(id=new.id, reference="", at=LONG_AGO),)))
    used = (container(new),)
    rules = Policy(keep_newest=1)
    assert verdict(decide(new, old, rules=rules, context=pin), old) == ("evict", "idle-ttl")
    assert verdict(decide(new, old, rules=rules, containers=used), old) == ("evict", "idle-ttl")


def test_it_is_asked_after_rules_and_before_a_local_origin() -> None:
    local = pytorch_image("a", *tags("2.9.0"), origin=None)
    rules = Policy(keep_newest=1, rules=(Rule(match="team/*", keep=True),))
    assert verdict(decide(local, rules=Policy(keep_newest=1)), local) == ("keep", "keep-newest")
    assert verdict(decide(local, rules=rules), local) == ("keep", "rule-keep")


def test_what_a_newer_build_outdates_is_idle_from_then_on() -> None:
    given = builds(*tags("2.9.0", "2.8.0"))
    new, old = given.values()
    rules = Policy(keep_newest=1)
    alone = next(item for item in decide(old, rules=rules).decisions)
    assert alone.protected
    plan = decide(new, old, rules=rules, usages=(usage(old, protected=True),))
    outdated = next(item for item in plan.decisions if item.image.id == old.id)
    assert (outdated.reason.value, outdated.idle_since, outdated.protected) == ("recent", NOW, False)


def test_the_sentence_names_the_line() -> None:
    given = builds(*tags("2.9.0-cuda12.8-runtime", "2.8.0"))
    one = decide(*given.values(), rules=Policy(keep_newest=1)).decisions
    two = decide(*given.values(), rules=Policy(keep_newest=2)).decisions
    assert [item.explanation for item in (one[0], two[1])] == [
        "kept: team/pytorch:2.9.0-cuda12.8-runtime is the newest of team/pytorch (runtime, cuda12)",
        "kept: team/pytorch:2.8.0 is among the newest 2 of team/pytorch",
    ]
