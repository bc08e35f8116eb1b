"""What `check` says of pins that several images answer to."""

from agent import check
from agent.core.model import Pin
from tests.core.builders import NOW, decide, image, image_id


def test_the_start_of_an_id_that_several_images_have_is_noted_with_their_number() -> None:
    names = ("pytorch-1", "pytorch-2", "other")
    plan = decide(*(image(name) for name in names))
    pins = [Pin(id=id_, reference="", at=NOW) for id_ in (image_id("pytorch-1")[:19], image_id("pytorch-1"), "")]
    assert check._vague(pins, plan) == [(pins[0], 2)]
