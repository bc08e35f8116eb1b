"""What `checks` says of pins that several images answer to, and of images that one sign calls PyTorch."""

from agent.core.policy.overrides import Pin
from agent.diagnostics import images, state
from tests.core.builders import NOW, decide, image, image_id, pytorch_image


def test_the_start_of_an_id_that_several_images_have_is_noted_with_their_number() -> None:
    names = ("pytorch-1", "pytorch-2", "other")
    plan = decide(*(image(name) for name in names))
    pins = [Pin(id=id_, reference="", at=NOW) for id_ in (image_id("pytorch-1")[:19], image_id("pytorch-1"), "")]
    assert state._vague(pins, plan) == [(pins[0], 2)]


def test_images_that_are_pytorch_by_one_sign_are_counted_and_named_and_fail_nothing() -> None:
    doubtful = [pytorch_image(f"{number}", f"corp/app:{number}") for number in range(5)]
    nameless = pytorch_image("n", references=())
    plan = decide(*doubtful, nameless, pytorch_image("sure", "team/pytorch:2.9-cuda12.6"), image("web"))
    (found,) = images.check_doubtful(images.Inspection(plan, ()))
    names = "6e0000000000, corp/app:0, corp/app:1, corp/app:2 and 2 more"
    assert (found.name, found.ok) == ("recognition", True)
    assert found.detail == f"6 image(s) count as PyTorch by one sign alone: {names}"
    assert found.hint.startswith("torchkeeper lint names the sign; if that is wrong, add it to images.exclude")


def test_where_no_image_is_in_doubt_nothing_is_said_of_it() -> None:
    sure = pytorch_image("sure", "team/pytorch:2.9-cuda12.6")
    assert (images.check_doubtful(None), images.check_doubtful(images.Inspection(decide(sure), ()))) == ([], [])
