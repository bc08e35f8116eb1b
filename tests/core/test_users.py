"""Who uses an image, in words, and whose runs are no uses."""

import pytest

from agent.core.users import PROJECT, Ignored, words

LABELS = {PROJECT: "llm", "user": "alice"}


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({}, "trainer"),
        (LABELS, "trainer (project llm, user alice)"),
        ({PROJECT: "llm"}, "trainer (project llm)"),
        ({"owner": "bob"}, "trainer (user bob)"),
        ({"owner": "bob", "user": "alice", "torchkeeper.user": "carol"}, "trainer (user carol)"),
        ({PROJECT: "", "user": "", "maintainer": "somebody"}, "trainer"),
    ],
)
def test_a_container_is_told_with_its_project_and_user(labels: dict[str, str], told: str) -> None:
    assert words("trainer", labels) == told


@pytest.mark.parametrize(
    ("patterns", "covered"),
    [
        ((), False),
        (("scan-*",), True),
        (("scan",), False),
        (("*/trivy:*",), True),
        (("team/torch:1",), True),
        (("docker.io/team/torch",), True),
        (("role=scanner",), True),
        (("role=*",), True),
        (("role",), False),
        (("other*", "role=scan*"), True),
    ],
)
def test_a_pattern_is_on_the_name_the_image_or_a_label(patterns: tuple[str, ...], covered: bool) -> None:
    image = "aquasec/trivy:1" if "*/trivy:*" in patterns else "docker.io/team/torch:1"
    if patterns == ("docker.io/team/torch",):
        image = "docker.io/team/torch"
    assert Ignored(patterns).covers("scan-7", image, {"role": "scanner"}) is covered
