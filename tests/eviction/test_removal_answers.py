"""What the engine's answers say that it removed, compared with what was requested."""

from dataclasses import replace

from agent.core.images.layers import chain_ids
from agent.eviction.removal_answers import Answers
from tests.support.builders import make_details, make_id, pytorch_image

DIGEST = "team/torch@sha256:1"
IMAGE = replace(pytorch_image("torch", "team/torch:1", "team/torch:2"), digests=(DIGEST,))
LAYERS = (make_id("one"), make_id("two"))
DEEP = replace(IMAGE, details=make_details(layers=LAYERS))
OTHER, PARENT = make_id("other"), make_id("parent")
ORIGINS = {OTHER: "team/other@sha256:2", PARENT: None}


def made() -> Answers:
    return Answers(DEEP, ORIGINS)


def test_its_own_references_layers_and_id_are_not_reported_as_more() -> None:
    answers = made()
    assert not answers.take(["team/torch:2"], [])
    assert not answers.take(["team/torch:1", DIGEST], [IMAGE.id, *reversed(chain_ids(LAYERS))])
    assert answers.also_removed == ()


def test_a_name_that_the_image_did_not_have_is_reported_as_more() -> None:
    answers = made()
    assert answers.take(["user/torch:1", "team/torch:1"], [IMAGE.id])
    assert answers.also_removed == ("user/torch:1",)


def test_an_image_that_had_got_its_name_is_reported_by_that_name_its_digest_and_its_id_without_its_layers() -> None:
    answers = made()
    assert answers.take(["team/torch:1"], [OTHER, make_id("layer of other")])
    assert answers.also_removed == ("team/torch:1", "team/other@sha256:2", OTHER)


def test_of_an_image_that_nobody_had_listed_the_first_id_is_its_own() -> None:
    answers = made()
    assert answers.take(["team/torch:1", "team/torch@sha256:3"], [make_id("new"), make_id("layer of new")])
    assert answers.also_removed == ("team/torch:1", "team/torch@sha256:3", make_id("new"))


def test_a_parent_that_was_removed_with_it_is_reported_as_more() -> None:
    answers = made()
    assert answers.take(["team/torch:1"], [IMAGE.id, PARENT])
    assert answers.also_removed == (PARENT,)


def test_an_item_in_several_answers_is_reported_once() -> None:
    answers = made()
    answers.take(["user/torch:1"], [])
    answers.take(["user/torch:1"], [IMAGE.id, PARENT])
    assert answers.also_removed == ("user/torch:1", PARENT)
