"""Patterns that can match no image are named with a proposal that can."""

import pytest

from agent.config.sections import Images, Policy, Rule
from agent.config.settings import Settings
from agent.core import globs
from agent.core.policy import rules
from agent.daemon import no_effect

ADVICE = [
    ("latest", "write *:latest", "*:latest", "team/pytorch:latest"),
    ("stable", "write *:stable", "*:stable", "team/pytorch:stable"),
    ("2.9-cuda12.8", "write *:2.9-cuda12.8", "*:2.9-cuda12.8", "team/pytorch:2.9-cuda12.8"),
    ("v3", "write *:v3", "*:v3", "team/pytorch:v3"),
    ("team/pytorch", "write team/pytorch:*", "team/pytorch:*", "team/pytorch:2.9"),
    ("prod", "write *prod*:* for every name with it", "*prod*:*", "registry.io/prod/model:7"),
    ("prod", "prod:* for the repository", "prod:*", "prod:7"),
    ("prod", "*:prod for the tag", "*:prod", "team/pytorch:prod"),
]


@pytest.mark.parametrize(("pattern", "advice", "proposal", "reference"), ADVICE)
def test_the_proposal_for_a_pattern_without_a_tag_matches_what_was_meant(
    pattern: str, advice: str, proposal: str, reference: str
) -> None:
    assert not globs.matches(pattern, reference)
    assert advice in rules.why_never_matches(pattern)
    assert globs.matches(proposal, reference)
    assert rules.why_never_matches(proposal) == ""


@pytest.mark.parametrize("pattern", ["Team/train:*", "TEAM.io/*", "Team*", "[A-Z]eam/x:*", "*/x:V1", "team/*:V*"])
def test_a_pattern_with_capitals_where_a_registry_or_a_tag_may_have_them_can_match(pattern: str) -> None:
    assert rules.why_never_matches(pattern) == ""


@pytest.mark.parametrize("pattern", ["Train:*", "team/Train:*", "TEAM.io/Train*", "team/Train"])
def test_a_pattern_with_capitals_in_a_repository_can_match_nothing(pattern: str) -> None:
    assert rules.why_never_matches(pattern) != ""


def test_every_key_with_a_pattern_on_images_is_named() -> None:
    settings = Settings(
        images=Images(include=("one", "team/*"), exclude=("two",)),
        policy=Policy(protect=("latest", "*:stable"), rules=(Rule(match="four", keep=True),)),
    )
    assert [
        line.partition(" can match no image: it has no tag; write ")[0] for line in no_effect.patterns(settings)
    ] == [
        "images.include: 'one'",
        "images.exclude: 'two'",
        "policy.protect: 'latest'",
        "policy.rules.match: 'four'",
    ]


def test_the_built_in_patterns_can_match() -> None:
    assert no_effect.patterns(Settings()) == []
