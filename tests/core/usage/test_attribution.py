"""Who uses an image, in words, and whose runs are no uses."""

import pytest

from agent.core.usage.attribution import PROJECT, IgnoredContainers, Run, describe_container

LABELS = {PROJECT: "llm", "user": "alice"}


@pytest.mark.parametrize(
    ("labels", "described"),
    [
        ({}, "trainer"),
        (LABELS, "trainer (project llm, user alice)"),
        ({PROJECT: "llm"}, "trainer (project llm)"),
        ({"owner": "bob"}, "trainer (user bob)"),
        ({"owner": "bob", "user": "alice", "torchkeeper.user": "carol"}, "trainer (user carol)"),
        ({PROJECT: "", "user": "", "maintainer": "somebody"}, "trainer"),
    ],
)
def test_a_container_is_described_with_its_project_and_user(labels: dict[str, str], described: str) -> None:
    assert describe_container("trainer", labels) == described


ID = "sha256:" + "0123456789abcdef" * 4
SWARM = f"docker.io/aquasec/trivy:1@sha256:{'f' * 64}"


@pytest.mark.parametrize(
    ("pattern", "image", "matched"),
    [
        ("scan-*", "team/torch:1", True),
        ("scan", "team/torch:1", False),
        ("*/trivy:*", "aquasec/trivy:1", True),
        ("team/torch:1", "docker.io/team/torch:1", True),
        ("docker.io/team/torch", "docker.io/team/torch", True),
        ("python:*", "docker.io/library/python:3", True),
        # The tag that nobody wrote
        ("trivy:latest", "trivy", True),
        ("trivy:*", "trivy", True),
        ("trivy", "trivy", True),
        ("trivy*", "docker.io/library/trivy", True),
        ("*test*", "trivy", False),
        ("*test*", "team/torch:latest", True),
        ("*latest", "trivy", False),
        ("*:latest", "trivy", True),
        # An ID has no tag, and a digest reference has none either
        ("*test*", ID, False),
        ("*test*", ID[7:], False),
        ("*test*", ID[7:19], False),
        ("*:latest", ID[7:19], False),
        ("*:latest", ID[7:], False),
        ("*:latest", ID, False),
        ("0123*", ID[7:19], True),
        ("sha256:0123*", ID, True),
        ("*:latest", f"team/torch@{ID}", False),
        ("*test*", f"team/torch@{ID}", False),
        ("team/torch:*", f"team/torch@{ID}", True),
        ("team/*", f"team/torch@{ID}", True),
        ("team/torch@sha256:0123*", f"team/torch@{ID}", True),
        ("aquasec/trivy:1", SWARM, True),
        ("aquasec/trivy:2", SWARM, False),
        ("aquasec/trivy:*", SWARM, True),
        ("aquasec/trivy@sha256:ffff*", SWARM, True),
        # A name that looks like the start of an ID, but is not the image's
        ("feed:latest", "feed", True),
    ],
)
def test_a_pattern_is_on_the_name_or_on_the_image_as_it_was_written(pattern: str, image: str, matched: bool) -> None:
    run = Run(name="scan-7", image=image, image_id=ID, labels={"role": "test", "a": "b:latest"})
    assert IgnoredContainers((pattern,)).pattern_for(run) == (pattern if matched else "")


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("role=scanner", True),
        ("role=*", True),
        ("role=scan*", True),
        ("*=scanner", True),
        ("empty=", True),
        ("role", False),
        ("*scanner*", False),
        ("*role*", False),
        ("role=scan", False),
        ("Role=scanner", False),
    ],
)
def test_labels_are_matched_by_key_and_value_together_alone(pattern: str, matched: bool) -> None:
    run = Run(name="box", image="team/torch:1", image_id=ID, labels={"role": "scanner", "empty": ""})
    assert IgnoredContainers((pattern,)).pattern_for(run) == (pattern if matched else "")


def test_the_first_pattern_that_matches_is_reported() -> None:
    run = Run(name="scan-7", image="aquasec/trivy", image_id=ID, labels={"role": "scanner"})
    assert IgnoredContainers(("other*", "role=scan*", "scan-*")).pattern_for(run) == "role=scan*"
    assert IgnoredContainers(()).pattern_for(run) == ""
