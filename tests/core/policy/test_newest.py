"""`keep_newest`: so many of each repository, scheme, flavour and major version of the accelerator."""

from datetime import UTC, datetime

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from packaging.version import Version

from agent.core.images.tags import parse
from agent.core.model import Image
from agent.core.policy import newest
from agent.core.policy.decide import Context
from agent.core.policy.overrides import Overrides, Pin
from agent.core.policy.settings import Policy, Rule
from agent.core.pytorch import classify
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
    ("a release before a newer candidate", 1, tags("1.1.0", "1.2.0rc1"), tags("1.1.0", "1.2.0rc1")),
    ("of two candidates the newer one", 1, tags("1.1.0", "1.2.0rc1", "1.2.0rc2"), tags("1.1.0", "1.2.0rc2")),
    ("a candidate only among the newest of all", 1, tags("1.1.0", "1.1.0rc1", "1.0.0"), tags("1.1.0")),
    ("two releases under two candidates", 2, tags("1.2.0rc2", "1.2.0rc1", "1.1.0", "1.0.0", "0.9.0"),
     tags("1.2.0rc2", "1.2.0rc1", "1.1.0", "1.0.0")),
    ("nightlies among themselves", 1, tags("2.9.0.dev20250801", "2.9.0.dev20250802"), tags("2.9.0.dev20250802")),
    ("a post-release as a release", 1, tags("0.9.2", "0.9.2.post1"), tags("0.9.2.post1")),
    ("XPU beside the CPU", 1, tags("2.8.10-xpu-pip", "2.8.0-pip-cpu"), tags("2.8.10-xpu-pip", "2.8.0-pip-cpu")),
    ("ROCm without a number beside XPU", 1, tags("3.3.6-rocm", "3.3.5-intel-xpu"),
     tags("3.3.6-rocm", "3.3.5-intel-xpu")),
    ("Gaudi beside Neuron", 1, tags("3.3.6-gaudi", "3.3.5-neuron"), tags("3.3.6-gaudi", "3.3.5-neuron")),
    ("TensorRT-LLM beside CUDA", 1, tags("3.3.6-trtllm", "3.3.5"), tags("3.3.6-trtllm", "3.3.5")),
    ("Jetson beside the rest", 1, tags("25.11-py3", "25.08-py3-igpu"), tags("25.11-py3", "25.08-py3-igpu")),
    ("a tag that begins with Python's version by torch's", 1, tags("3.10-2.0.0-117", "2.1.0-py3.10-cuda11.8"),
     tags("2.1.0-py3.10-cuda11.8")),
    ("torch112 over torch19", 1, tags("torch191-cu111", "torch112-cu117"), tags("torch112-cu117")),
]  # fmt: skip


@pytest.mark.parametrize(("what", "count", "given", "expected"), LINES, ids=[case[0] for case in LINES])
def test_of_the_builds_are_kept(what: str, count: int, given: list[str], expected: list[str]) -> None:
    assert kept(builds(*given), Policy(keep_newest=count, protect=())) == set(expected)


# Lists as they are published, each rising from old to new within one line.
PUBLISHED = [
    ("pytorch/pytorch", "2.8.0-cuda12.9-cudnn9-runtime 2.9.1-cuda12.8-cudnn9-runtime 2.10.0-cuda12.8-cudnn9-runtime"),
    ("nvcr.io/nvidia/pytorch", "21.06-py3 21.06.1-py3 24.01-py3 24.12-py3 25.08-py3 25.11-py3"),
    ("vllm/vllm-openai", "v0.9.0.1 v0.9.2 v0.10.1.1 v0.10.2rc1 v0.10.2 v0.10.2.post1 v0.33.0"),
    ("lmsysorg/sglang", "v0.5.3rc0-cu129 v0.5.3-cu129 v0.5.3.post1-cu129 v0.5.5-cu129"),
    ("h/pytorch-training", "2.8.0-gpu-py312-cu129-ubuntu22.04-ec2 2.9-gpu-py312-cu128-ubuntu22.04-ec2"
     " 2.10.0-gpu-py312-cu128-ubuntu22.04-ec2"),
    ("runpod/pytorch", "1.0.2-cu1281-torch271-ubuntu2204 1.0.2-cu1281-torch280-ubuntu2404"
     " 1.0.3-cu1281-torch291-ubuntu2404 1.0.3-cu1290-torch210-ubuntu2404"),
    ("runpod/pytorch", "3.10-1.13.1-117 3.10-2.0.0-117 2.0.1-py3.10-cuda11.8.0 2.1.0-py3.10-cuda11.8.0"),
    ("rocm/pytorch", "rocm6.1.3_ubuntu22.04_py3.10_pytorch_release_2.3.0"
     " rocm6.4.1_ubuntu22.04_py3.10_pytorch_release_2.5.1 rocm6.4.1_ubuntu24.04_py3.12_pytorch_release_2.6.0"),
    ("lightning/pytorch", "2.4.0-py3.11-torch2.3-cuda12.1.1 2.5.0-py3.12-torch2.5-cuda12.1.1"),
    ("deepspeed/deepspeed", "v070_torch111_cu115 v072_torch112_cu117 v083_torch113_cu117"),
    ("nvcr.io/nvidia/tensorrt-llm/release", "1.0.0 1.1.0rc2 1.1.0 1.2.0rc1"),
]  # fmt: skip


@pytest.mark.parametrize(("repository", "rising"), PUBLISHED, ids=[case[0] for case in PUBLISHED])
def test_a_published_list_goes_from_its_old_end(repository: str, rising: str) -> None:
    names = [f"{repository}:{tag}" for tag in rising.split()]
    pre = {name for name in names if "rc" in name}
    for count in range(1, len(names) + 1):
        releases = [name for name in names if name not in pre][-count:]
        expected = {*releases, *(pre & set(names[-count:]))}
        assert kept(builds(*names), Policy(keep_newest=count, protect=())) == expected


def built(*ages_in_days: float | None) -> list[datetime | None]:
    return [None if age is None else NOW - age * DAY for age in ages_in_days]


OPAQUE = [
    ("a vendor's words", tags("server-cuda-v1", "server-cuda-v2"), built(40, 30), tags("server-cuda-v2")),
    ("dates without a version", tags("20240131", "20240228"), built(40, 30), tags("20240228")),
    ("each accelerator by itself", tags("cuda12-2026-08-03", "cuda13-2026-07-06"), built(30, 40),
     tags("cuda12-2026-08-03", "cuda13-2026-07-06")),
    ("each flavour by itself", tags("main-runtime", "main-devel"), built(30, 40), tags("main-runtime", "main-devel")),
    ("each repository by itself", ["a/torch:main", "b/torch:main"], built(30, 40), ["a/torch:main", "b/torch:main"]),
    ("beside versions", tags("main", "2.8.0"), built(30, 40), tags("main", "2.8.0")),
    ("what was built at one moment", tags("m125", "m126", "m124"), built(30, 30, 40), tags("m125", "m126")),
    ("all whose build time is not known", tags("m125", "m126"), built(None, None), tags("m125", "m126")),
    ("such a one takes no place", tags("m125", "m126", "m124"), built(None, 30, 40), tags("m125", "m126")),
    ("a builder's constant is not a build time", tags("m125", "m126"), [datetime(1980, 1, 1, tzinfo=UTC), NOW],
     tags("m125", "m126")),
]  # fmt: skip


@pytest.mark.parametrize(("what", "names", "times", "expected"), OPAQUE, ids=[case[0] for case in OPAQUE])
def test_of_tags_without_a_version_is_kept_the_one_built_last(
    what: str, names: list[str], times: list[datetime | None], expected: list[str]
) -> None:
    images = {
        name: pytorch_image(f"i{number}", name, created=time)
        for number, (name, time) in enumerate(zip(names, times, strict=True))
    }
    assert kept(images, Policy(keep_newest=1, protect=())) == set(expected)


def test_without_keep_newest_an_unknown_build_time_keeps_nothing() -> None:
    assert kept(builds(*tags("main", "m125")), Policy(keep_newest=0)) == set()


def test_a_name_without_a_version_does_not_count_beside_one_that_tells_it() -> None:
    old = pytorch_image("old", *tags("2.8.0", "blessed"), created=NOW)
    new = pytorch_image("new", *tags("2.9.0"), created=LONG_AGO)
    plan = decide(old, new, rules=Policy(keep_newest=1))
    assert (verdict(plan, old), verdict(plan, new)) == (("evict", "idle-ttl"), ("keep", "keep-newest"))
    assert newest.unread(old) == ()


def test_an_image_that_was_promoted_from_a_candidate_counts_as_a_release() -> None:
    both = pytorch_image("both", *tags("1.2.0rc1", "1.2.0"))
    old = pytorch_image("old", *tags("1.1.0"))
    plan = decide(both, old, rules=Policy(keep_newest=1))
    assert (verdict(plan, both), verdict(plan, old)) == (("keep", "keep-newest"), ("evict", "idle-ttl"))


def test_rocm_without_a_number_takes_the_images_own() -> None:
    six = pytorch_image("x", *tags("3.3.6-rocm"), env={"PYTORCH_VERSION": "2.9.0", "ROCM_VERSION": "6.4.1"})
    seven = pytorch_image("y", *tags("3.3.7-rocm"), env={"PYTORCH_VERSION": "2.9.0", "ROCM_VERSION": "7.0.0"})
    plan = decide(six, seven, rules=Policy(keep_newest=1))
    assert (verdict(plan, six), verdict(plan, seven)) == (("keep", "keep-newest"),) * 2


WRITTEN = "1.0 1.1rc1 1.1 1.1.post1 1.2.dev3 1.2a1 1.2 1.2-cpu 1.3-xpu 1.3-rocm main m1 25.01-py3"
TAG = st.sampled_from(WRITTEN.split())
HOST = st.lists(st.tuples(st.lists(TAG, min_size=1, max_size=3), st.none() | st.integers(0, 3)), max_size=6)


def by_version_alone(images: list[Image], count: int) -> set[str]:
    """The images that are among the newest of their line if a pre-release counts as a release."""
    lines: dict[tuple[str, str, str], list[tuple[Version, datetime, str]]] = {}
    verdicts = classify.classify(images)
    for item in images:
        for reference in item.references:
            tag = parse(reference)
            created = item.details.created if item.details else None
            if tag.version is not None:
                key = (tag.scheme, tag.flavour, tag.accelerator or verdicts[item.id].accelerator or "")
                lines.setdefault(key, []).append((tag.version, created or LONG_AGO, item.id))
    found: set[str] = set()
    for line in lines.values():
        found |= set(list(dict.fromkeys(id_ for _, _, id_ in sorted(line, reverse=True)))[:count])
    return found


@for_all(HOST, st.integers(1, 3))
def test_no_fewer_are_kept_than_by_version_alone(rows: list[tuple[list[str], int | None]], count: int) -> None:
    images = [
        pytorch_image(f"i{number}", *tags(*dict.fromkeys(names)), created=None if age is None else NOW - age * DAY)
        for number, (names, age) in enumerate(rows)
    ]
    plan = decide(*images, rules=Policy(keep_newest=count, protect=()))
    found = {item.image.id for item in plan.decisions if item.reason.value == "keep-newest"}
    assert found >= by_version_alone(images, count)


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
    pin = Context(overrides=Overrides(pins=(Pin(id=new.id, reference="", at=LONG_AGO),)))
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


def test_the_sentence_of_a_tag_without_a_version_says_what_decides() -> None:
    timed, timeless = pytorch_image("a", *tags("main"), created=NOW), pytorch_image("b", *tags("m125"))
    plan = decide(timed, timeless, rules=Policy(keep_newest=1))
    assert {item.explanation for item in plan.decisions} == {
        "kept: the tag of team/pytorch:main has no version; by build time it is the newest of team/pytorch",
        "kept: the tag of team/pytorch:m125 has no version and its build time is unknown,"
        " so it may be the newest of team/pytorch",
    }


def test_the_sentence_names_the_line() -> None:
    given = builds(*tags("2.9.0-cuda12.8-runtime", "2.8.0"))
    one = decide(*given.values(), rules=Policy(keep_newest=1)).decisions
    two = decide(*given.values(), rules=Policy(keep_newest=2)).decisions
    assert [item.explanation for item in (one[0], two[1])] == [
        "kept: team/pytorch:2.9.0-cuda12.8-runtime is the newest of team/pytorch (runtime, cuda12)",
        "kept: team/pytorch:2.8.0 is among the newest 2 of team/pytorch",
    ]
