"""Which events are echoes of the agent's own acts: each expected one, once, while the removal lasts."""

import pytest

from agent.core.usage.events import EngineEvent
from agent.core.usage.own_removals import OwnRemovals
from tests.support.builders import make_event, make_id
from tests.support.times import SECOND, START

IMAGE, OTHER = make_id("torch"), make_id("other")
REF = "team/torch:1"


def event(action: str, image_id: str = IMAGE, *, name: str = REF, after: float = 1.0, **facts: object) -> EngineEvent:
    return make_event(action, image_id, at=START + after * SECOND, name=name, **{"kind": "image", **facts})


@pytest.fixture
def own() -> OwnRemovals:
    """A removal that has begun, and expects one echo of each kind."""
    made = OwnRemovals()
    made.begin(IMAGE, START)
    for action, reference in (("untag", REF), ("tag", REF), ("delete", "")):
        made.expect(IMAGE, action, reference)
    return made


OWN = [
    ("a tag given back", event("tag")),
    ("an untag that names the reference", event("untag")),
    ("an untag of a graph driver, which names the image", event("untag", name=IMAGE)),
    ("the deletion", event("delete", name="")),
]


@pytest.mark.parametrize(("what", "reported"), OWN, ids=[case[0] for case in OWN])
def test_an_expected_echo_is_the_agents_own_and_the_same_again_is_somebody_elses(
    own: OwnRemovals, what: str, reported: EngineEvent
) -> None:
    again = event(reported.action, name=reported.name, after=2)
    assert [own.caused(reported), own.caused(again), own.caused(reported)] == [True, False, True]


FOREIGN = [
    ("another tag", event("tag", name="user/torch:1")),
    ("another reference untagged", event("untag", name="user/torch:1")),
    ("the same of another image", event("tag", OTHER)),
    ("from before the removal", event("tag", after=-1)),
    ("from after it", event("tag", after=11)),
    ("a pull", event("pull")),
    ("a container of that name", event("create", kind="container")),
]


@pytest.mark.parametrize(("what", "reported"), FOREIGN, ids=[case[0] for case in FOREIGN])
def test_any_other_event_is_somebody_elses(own: OwnRemovals, what: str, reported: EngineEvent) -> None:
    own.end(IMAGE, START + 10 * SECOND)
    assert not own.caused(reported)


def test_an_echo_that_comes_after_the_end_was_raised_before_it(own: OwnRemovals) -> None:
    own.end(IMAGE, START + 10 * SECOND)
    assert (own.in_progress, own.caused(event("tag", after=10))) == (frozenset(), True)


def test_what_was_somebody_elses_stays_so_though_the_same_is_expected_later() -> None:
    own = OwnRemovals()
    own.begin(IMAGE, START)
    reported = event("tag")
    assert not own.caused(reported)
    own.expect(IMAGE, "tag", REF)
    assert [own.caused(reported), own.caused(event("tag", after=2))] == [False, True]


def test_as_many_untags_of_a_graph_driver_are_own_as_were_expected() -> None:
    own = OwnRemovals()
    own.begin(IMAGE, START)
    own.expect(IMAGE, "untag", REF, f"team/torch@{OTHER}")
    assert [own.caused(event("untag", name=IMAGE, after=after)) for after in (1, 2, 3)] == [True, True, False]


def test_what_a_removal_expected_in_vain_is_not_expected_of_the_next_one(own: OwnRemovals) -> None:
    own.end(IMAGE, START + SECOND)
    own.begin(IMAGE, START + 10 * SECOND)
    assert not own.caused(event("tag", after=11))


def test_names_that_other_images_get_meanwhile_are_known(own: OwnRemovals) -> None:
    for reported in (event("tag", OTHER), event("tag", OTHER, name="b:1", after=-1), event("untag", OTHER, name="c:1")):
        assert not own.caused(reported)
    own.end(IMAGE, START + 10 * SECOND)
    own.caused(event("tag", OTHER, name="d:1", after=11))
    assert own.passed(IMAGE) == {REF}


def test_the_images_of_removals_that_last_are_busy(own: OwnRemovals) -> None:
    own.begin(OTHER, START)
    assert own.in_progress == {IMAGE, OTHER}
    own.end(OTHER, START)
    assert own.in_progress == {IMAGE}
