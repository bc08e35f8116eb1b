"""References: the engine's short form, and which image a name means."""

import pytest

from agent.core.images.references import ReferenceIndex, familiar
from tests.support.builders import make_id, pulled_image

A, B = pulled_image("a", "team/a:1"), pulled_image("b", "team/b:1")


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ("base", "base:latest"),
        ("docker.io/library/base:v1", "base:v1"),
        ("docker.io/team/a:1", "team/a:1"),
        ("index.docker.io/team/a:1", "team/a:1"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("team/a:1@sha256:12", "team/a@sha256:12"),
        ("r.io:5000/a:1@sha256:12", "r.io:5000/a@sha256:12"),
        ("a@sha256:12", "a@sha256:12"),
    ],
)
def test_names_are_made_familiar(given_: str, meant: str) -> None:
    assert familiar(given_) == meant


def test_a_name_is_an_id_then_a_reference_then_a_prefix() -> None:
    names = ReferenceIndex()
    names.add(A.id, ["6100:latest", "team/a@sha256:12"])
    names.add(B.id, [])
    short = B.id.removeprefix("sha256:")[:12]
    asked = [A.id, A.id.removeprefix("sha256:"), "6100", "team/a:9@sha256:12", short, f"sha256:{short}", "61", "none"]
    assert [names.resolve(name) for name in asked] == [A.id, A.id, A.id, A.id, B.id, B.id, None, None]


def test_a_prefix_of_several_ids_means_none_of_them() -> None:
    names = ReferenceIndex()
    names.add("sha256:" + "ab" * 32, [])
    names.add("sha256:" + "ab" * 31 + "cd", [])
    assert names.resolve("abab") is None


def test_an_id_stays_known_after_its_image_is_gone() -> None:
    names = ReferenceIndex()
    names.add(make_id("gone"), ["gone:1"])
    names.replace([A])
    assert (names.resolve(make_id("gone")), names.resolve("gone:1")) == (make_id("gone"), None)
