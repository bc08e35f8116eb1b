"""Whether a reference still means the image that a pull brought."""

from datetime import timedelta

import pytest

from agent.core.images.references import ReferenceIndex
from agent.core.usage import pulls
from agent.core.usage.events import EngineEvent
from tests.support.builders import NOW, make_id

REF = "team/torch:1"
A, B = make_id("a"), make_id("b")


def event(action: str, actor: str, seconds: float, name: str = "") -> EngineEvent:
    at = NOW + timedelta(seconds=seconds)
    return EngineEvent(int(at.timestamp() * 10**9), "image", action, actor, name=name)


PULL = event("pull", REF, 0)


def still(*known: EngineEvent, named: float = 0, before: str = "") -> bool:
    """Whether it is A. `named`: since when A surely has the reference. `before`: what it meant until the pull."""
    names = ReferenceIndex()
    if before:
        names.add(before, [REF])
    return pulls.is_still(PULL, A, NOW + timedelta(seconds=named), [PULL, *known], names)


def test_a_reference_that_nobody_moved_means_what_was_pulled() -> None:
    assert still()


@pytest.mark.parametrize("move", [event("tag", B, 5, REF), event("tag", A, 5, REF), event("untag", A, 5, REF)])
def test_after_a_tag_or_an_untag_nobody_knows_what_was_pulled(move: EngineEvent) -> None:
    assert not still(move)


def test_a_move_before_the_pull_hides_nothing() -> None:
    assert still(event("tag", B, -5, REF))


def test_a_move_of_another_reference_hides_nothing() -> None:
    assert still(event("tag", B, 5, "team/other:1"))


@pytest.mark.parametrize(("before", "same"), [(A, True), (B, False), ("", False)])
def test_another_pull_hides_nothing_only_where_the_reference_meant_that_image_before(before: str, same: bool) -> None:
    assert still(event("pull", REF, 5), before=before) is same


def test_a_name_that_the_image_got_later_than_any_event_says_came_without_an_event() -> None:
    assert not still(named=10)


def test_a_later_tag_of_the_image_itself_explains_its_later_name() -> None:
    assert still(event("tag", A, 10, "team/mine:1"), named=10)
