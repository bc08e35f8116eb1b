"""Patterns: which tags and digest references they match."""

import pytest

from agent.core import globs
from agent.core.globs import Match
from agent.core.policy.rules import why_never_matches

HEX = "0123456789abcdef" * 4
DIGEST = f"registry.io:5000/prod/model@sha256:{HEX}"


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        # Without @: the repository of a digest reference
        ("*", True),
        ("*/prod/*", True),
        ("*/prod/model", True),
        ("registry.io:5000/*", True),
        ("registry.io:5000/prod/model", True),
        ("registry.io:5000/prod/mod[ae]l*", True),
        ("*/prod/*:*", True),
        ("registry.io:5000/prod/model:*", True),
        ("*/model:**", True),
        ("*:*", True),
        ("*/prod", False),
        ("prod/model:*", False),
        ("*/model:2.9*", False),
        ("*/model:latest", False),
        ("*/model:?*", False),
        ("*:latest", False),
        ("*sha256*", False),
        ("*0123*", False),
        ("*/Model", False),
        # With @: the whole digest reference
        ("*@*", True),
        (DIGEST, True),
        ("*/prod/model@sha256:*", True),
        ("*@sha256:0123456789ab*", True),
        ("*/prod/model@sha512:*", False),
        ("registry.io:5000/prod/model@sha256:0123456789ab", False),
        ("prod/model@*", False),
    ],
)
def test_a_pattern_without_a_digest_matches_the_repository_of_a_digest_reference(pattern: str, matched: bool) -> None:
    assert globs.matches(pattern, DIGEST) is matched


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("*", True),
        ("team/pytorch:*", True),
        ("team/pytorch:2.9*", True),
        ("*:2.9-cuda11.8", True),
        ("team/*", True),
        ("team/pytorch", False),
        ("pytorch:*", False),
        ("team/pytorch@*", False),
        ("*@*", False),
        ("[!@]*", False),
    ],
)
def test_a_tag_is_matched_whole_and_by_no_pattern_with_a_digest(pattern: str, matched: bool) -> None:
    assert globs.matches(pattern, "team/pytorch:2.9-cuda11.8") is matched


def test_the_first_match_is_told_with_its_pattern_and_reference() -> None:
    references = ("team/a:1", DIGEST)
    assert globs.first_match(("x/*", "*/prod/*"), references) == Match("*/prod/*", DIGEST)
    assert globs.first_match(("*/prod/*", "team/*"), references) == Match("team/*", "team/a:1")
    assert globs.first_match(("x/*",), references) is None
    assert globs.first_match((), references) is None


@pytest.mark.parametrize(
    ("references", "standalone"),
    [
        ((), ()),
        (("team/a:1",), ("team/a:1",)),
        (("team/a:1", "team/a@sha256:1"), ("team/a:1",)),
        (("team/a@sha256:1",), ("team/a@sha256:1",)),
        (("team/a:1", "team/b@sha256:1"), ("team/a:1", "team/b@sha256:1")),
        (("r.io:5000/a:1", "r.io:5000/a@sha256:1", "a@sha256:1"), ("r.io:5000/a:1", "a@sha256:1")),
        (("a:1", "r.io:5000/a@sha256:1"), ("a:1", "r.io:5000/a@sha256:1")),
    ],
)
def test_a_digest_reference_stands_alone_where_no_tag_is_in_its_repository(
    references: tuple[str, ...], standalone: tuple[str, ...]
) -> None:
    assert globs.standalone(references) == standalone


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("a", ""),
        ("a:1", "1"),
        ("r.io:5000/a", ""),
        ("r.io:5000/a:1", "1"),
        ("*:*", "*"),
        ("r.io:5000/*", ""),
        ("a@sha256:1", ""),
        ("a:1@sha256:1", "1"),
    ],
)
def test_a_port_and_a_digest_are_not_a_tag(text: str, tag: str) -> None:
    assert globs.tag_part(text) == tag


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("team/a@sha256:*", ""),
        (f"team/a@sha256:{HEX}", ""),
        ("*@*", ""),
        ("registry.io:5000/a@sha256:*", ""),
        ("*:5000/a@sha256:*", ""),
        ("*:*@sha256:*", ""),
        ("team/a:1@sha256:*", "a digest reference has no tag: write team/a@sha256:*"),
        ("a:1@sha256:*", "a digest reference has no tag: write a@sha256:*"),
        ("r.io:5000/a:*@sha256:*", "a digest reference has no tag: write r.io:5000/a@sha256:*"),
        ("team/a@sha256:0123456789ab", "it contains no complete digest; write all its digits, or team/a@sha256:*"),
        ("team/a@", "it contains no complete digest; write all its digits, or team/a@sha256:*"),
        ("docker.io/team/a@sha256:*", "the engine lists such images without docker.io/"),
    ],
)
def test_a_pattern_with_a_digest_that_can_match_nothing_says_why(pattern: str, why: str) -> None:
    assert why_never_matches(pattern) == why
