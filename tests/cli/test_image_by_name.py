"""The image that a person means by what they type."""

import pytest

from agent.cli.common import CommandError, find_image
from agent.core.model import Image
from tests.support.builders import make_id, pulled_image

HEX = "0123456789abcdef" * 4
DIGEST = f"team/b@sha256:{HEX}"
TAGGED = pulled_image("a", "team/a:1", digests=("team/a@sha256:1",))
BY_DIGEST = pulled_image("b", references=(), digests=(DIGEST,))
HUB = pulled_image("c", references=(), digests=(f"python@sha256:{HEX}",))
ALL = (TAGGED, BY_DIGEST, HUB)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("team/a:1", TAGGED),
        ("docker.io/team/a:1", TAGGED),
        ("team/a@sha256:1", TAGGED),
        (DIGEST, BY_DIGEST),
        (f"docker.io/{DIGEST}", BY_DIGEST),
        (f"team/b:2.9@sha256:{HEX}", BY_DIGEST),  # as a Swarm service names it
        (f"docker.io/library/python@sha256:{HEX}", HUB),
        (make_id("b"), BY_DIGEST),
        (make_id("b")[7:9], BY_DIGEST),
    ],
)
def test_an_image_is_found_by_a_tag_a_digest_reference_or_its_id(text: str, found: Image) -> None:
    assert find_image(text, ALL) == found


def test_the_start_of_a_digest_reference_will_do_where_the_start_of_a_reference_does() -> None:
    assert find_image("team/b", ALL, by_prefix=True) == BY_DIGEST
    assert find_image("team/a", ALL, by_prefix=True) == TAGGED
    with pytest.raises(CommandError, match="no image 'team/b' here"):
        find_image("team/b", ALL)


def test_the_candidates_of_an_ambiguous_name_are_listed_with_their_digest_references_too() -> None:
    with pytest.raises(CommandError, match=rf"\(team/a:1\), .* \({DIGEST}\); give more of it"):
        find_image("team/", ALL, by_prefix=True)


# Names that are not quite right

TAGS = tuple(pulled_image(tag, f"team/many:{tag}") for tag in ("latest", "1", "2"))


def test_a_repository_without_a_tag_does_not_silently_mean_its_latest() -> None:
    with pytest.raises(CommandError) as caught:
        find_image("team/many", TAGS, by_prefix=True)
    assert str(caught.value) == "'team/many' names no tag; write one of team/many:1, team/many:2, team/many:latest"
    assert find_image("team/many:latest", TAGS) == TAGS[0]


def test_a_repository_whose_only_tag_is_latest_needs_no_tag() -> None:
    assert find_image("team/many", TAGS[:1]) == TAGS[0]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("many", "Did you mean team/many:1, team/many:2, team/many:latest?"),
        ("team/mayn:1", "Did you mean team/many:1"),
        ("manny:1", "Did you mean team/many:1"),
    ],
)
def test_an_unknown_name_is_answered_with_names_that_are_near(text: str, near: str) -> None:
    with pytest.raises(CommandError) as caught:
        find_image(text, TAGS)
    assert near in str(caught.value)
    assert str(caught.value).endswith("? `torchkeeper images --all` lists them")


def test_an_unknown_name_that_is_near_to_nothing_is_answered_with_the_command_that_lists_all() -> None:
    with pytest.raises(CommandError, match=r"^no image 'zzz' here; `torchkeeper images --all` lists them$"):
        find_image("zzz", TAGS)
