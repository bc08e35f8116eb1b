"""One image goes whole or not at all: races, refusals, and a death at every single call."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters.engine import Conflict, EngineError, EngineUnavailable
from agent.core.model import Image
from agent.core.policy.decision import Outcome
from agent.core.usage.own_removals import OwnRemovals
from agent.eviction import removal
from agent.eviction.removal_answers import Answers
from tests.support import fake_host as harness
from tests.support.builders import make_digest, make_event, make_id, pytorch_image
from tests.support.fake_host import PAST_TTL, FakeHost, HostedAgent, Killed
from tests.support.fakes.engine import Call, FakeEngine

REFS = ("team/torch:1", "team/torch:2", "other/torch:1")
DIGESTS = (make_digest("other/torch", "o"), make_digest("team/torch", "t"))
UNHEARD = "whether the engine removed anything else is not known: an answer was not heard"
UNREADABLE = "whether the engine removed anything else is not known: an answer could not be read"


@pytest.fixture(params=[False, True], ids=["graph", "containerd"])
async def host(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[FakeHost]:
    async with harness.fake_host(tmp_path, containerd=request.param) as made:
        yield made


@pytest.fixture
async def engine(host: FakeHost) -> FakeEngine:
    engine = FakeEngine(host.docker)
    await engine.connect()
    return engine


def add(host: FakeHost, *references: str, digests: tuple[str, ...] = DIGESTS) -> Image:
    image = replace(pytorch_image("torch", *(references or REFS)), digests=digests)
    host.docker.add(image)
    return image


async def remove(host: FakeHost, engine: FakeEngine, image: Image) -> removal.RemovalResult:
    return await harness.remove(engine, image, containerd=host.docker.containerd)


def tags(host: FakeHost, image: Image) -> set[str]:
    return set(host.docker.images[image.id].tags)


@pytest.mark.parametrize("digests", [(), DIGESTS[:1], DIGESTS], ids=["built", "one digest", "two digests"])
@pytest.mark.parametrize("references", [REFS[:1], REFS[:2], REFS[1:], REFS], ids=len)
async def test_an_image_goes_with_all_its_references(
    host: FakeHost, engine: FakeEngine, references: tuple[str, ...], digests: tuple[str, ...]
) -> None:
    image = add(host, *references, digests=digests)
    assert await remove(host, engine, image) == removal.RemovalResult(Outcome.REMOVED)
    assert host.docker.images == {}


@pytest.mark.parametrize("digests", [(), DIGESTS[:1]], ids=["none", "one digest"])
async def test_an_untagged_image_goes(host: FakeHost, engine: FakeEngine, digests: tuple[str, ...]) -> None:
    image = replace(add(host, digests=digests), references=())
    host.docker.images[image.id].tags = []
    assert await remove(host, engine, image) == removal.RemovalResult(Outcome.REMOVED)


async def test_an_untagged_image_of_two_repositories_goes(tmp_path: Path) -> None:
    async with harness.fake_host(tmp_path) as host:
        engine = FakeEngine(host.docker)
        await engine.connect()
        image = replace(add(host), references=())
        host.docker.images[image.id].tags = []
        assert await remove(host, engine, image) == removal.RemovalResult(Outcome.REMOVED)


async def test_it_is_deleted_by_its_full_id_and_last(host: FakeHost, engine: FakeEngine) -> None:
    image = add(host)
    await remove(host, engine, image)
    assert engine.mutations[-1] == Call("delete", image.id)
    assert engine.mutations[0] == Call("untag", "team/torch:1")


async def test_no_digest_is_deleted_on_the_containerd_store(tmp_path: Path) -> None:
    async with harness.fake_host(tmp_path, containerd=True) as host:
        engine = FakeEngine(host.docker)
        await engine.connect()
        await remove(host, engine, add(host))
    assert [call.argument for call in engine.mutations if "@" in call.argument] == []


async def test_an_image_that_a_container_uses_is_refused_and_whole(host: FakeHost, engine: FakeEngine) -> None:
    image = add(host)
    host.docker.create(REFS[0])
    result = await remove(host, engine, image)
    assert (result.outcome, "is using its referenced image" in str(result.error)) == (Outcome.REFUSED, True)
    assert tags(host, image) == set(REFS)


@pytest.mark.parametrize("step", range(1, 9))
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_container_created_at_any_step_keeps_the_image_or_finds_none(
    host: FakeHost, engine: FakeEngine, step: int, after: bool
) -> None:
    image = add(host)
    created: list[str] = []

    def create() -> None:
        if image.id in host.docker.images:
            created.append(host.docker.create(image.id))

    engine.on("*", create, nth=step, after=after)
    result = await remove(host, engine, image)
    if created:
        assert (result.outcome, tags(host, image)) == (Outcome.REFUSED, set(REFS))
    else:
        assert (result.outcome, host.docker.images) == (Outcome.REMOVED, {})


async def test_a_tag_that_moved_meanwhile_is_left_to_its_new_image(host: FakeHost, engine: FakeEngine) -> None:
    image = add(host, digests=())
    other = host.docker.add(pytorch_image("new", "team/new:1"))

    def race() -> None:
        host.docker.tag(other, REFS[0])
        host.docker.create(image.id)

    engine.on("delete", race)
    result = await remove(host, engine, image)
    assert (result.outcome, str(result.error).endswith(f"{REFS[0]} names another image by now")) == (
        Outcome.REFUSED,
        True,
    )
    assert tags(host, image) == set(REFS) - {REFS[0]}
    assert set(host.docker.images[other].tags) == {"team/new:1", REFS[0]}


async def test_a_tag_that_moved_before_its_turn_is_not_taken_from_its_new_image(
    host: FakeHost, engine: FakeEngine
) -> None:
    image = add(host, digests=())
    other = host.docker.add(pytorch_image("new", "team/new:1"))
    engine.on("untag", lambda: host.docker.tag(other, REFS[1]), after=True)
    result = await remove(host, engine, image)
    assert result.outcome is Outcome.REFUSED
    assert set(host.docker.images[other].tags) == {"team/new:1", REFS[1]}
    assert tags(host, image) == set(REFS) - {REFS[1]}


@pytest.mark.parametrize("call", ["references", "untag", "delete"])
async def test_an_image_that_others_delete_meanwhile_is_removed(host: FakeHost, engine: FakeEngine, call: str) -> None:
    image = add(host, digests=())
    engine.on(call, lambda: host.docker._drop(host.docker.images[image.id]))
    assert (await remove(host, engine, image)).outcome in (Outcome.REMOVED, Outcome.REFUSED)
    assert image.id not in host.docker.images


@pytest.mark.parametrize("error", [Conflict(409, "no"), EngineError(500, "no")], ids=["conflict", "error"])
@pytest.mark.parametrize("call", ["untag", "delete"])
async def test_what_the_engine_refuses_is_put_back(
    host: FakeHost, engine: FakeEngine, call: str, error: EngineError
) -> None:
    image = add(host)
    engine.on(call, error)
    outcome = Outcome.REFUSED if isinstance(error, Conflict) else Outcome.FAILED
    assert await remove(host, engine, image) == removal.RemovalResult(outcome, "no")
    assert tags(host, image) == set(REFS)


async def test_names_that_went_without_the_image_are_put_back(host: FakeHost, engine: FakeEngine) -> None:
    """An engine may answer 200 to the deletion and keep the image."""
    image = add(host, digests=())
    kept = host.docker.images[image.id]

    def come_back() -> None:
        kept.tags = []
        host.docker.images[image.id] = kept

    engine.on("delete", come_back, after=True)
    result = await remove(host, engine, image)
    assert result == removal.RemovalResult(Outcome.REFUSED, "the engine took its names but kept the image")
    assert tags(host, image) == set(REFS)


async def test_a_refusal_keeps_the_digest_of_the_tag_that_stayed_longest(tmp_path: Path) -> None:
    async with harness.fake_host(tmp_path) as host:
        engine = FakeEngine(host.docker)
        await engine.connect()
        image = add(host, "alias/torch:1", "team/torch:1", digests=DIGESTS[1:])
        host.docker.create(image.id)
        await remove(host, engine, image)
        assert host.docker.images[image.id].digests == [DIGESTS[1]]


async def test_an_engine_lost_on_the_way_is_left_to_the_settling(host: FakeHost, engine: FakeEngine) -> None:
    image = add(host)
    engine.on("delete", EngineUnavailable(0, "gone"))
    with pytest.raises(EngineUnavailable):
        await remove(host, engine, image)
    result = await harness.settle(engine, image.id, image.references)
    assert result == removal.RemovalResult(Outcome.FAILED, f"interrupted; the image is whole; {UNHEARD}")
    assert tags(host, image) == set(REFS)


async def test_settling_an_image_that_is_gone_touches_nothing(host: FakeHost, engine: FakeEngine) -> None:
    assert await harness.settle(engine, make_id("gone"), REFS) == removal.RemovalResult(Outcome.REMOVED, UNHEARD)
    assert engine.mutations == []


# Somebody else's names


def answers_about(host: FakeHost, image: Image) -> Answers:
    """With the origin of every image that the fake has."""
    digests = {key: found.digests for key, found in host.docker.images.items()}
    return Answers(image, {key: found[0] if found else None for key, found in digests.items()})


@pytest.mark.parametrize("references", [(), REFS[:1], REFS], ids=len)
@pytest.mark.parametrize("name", ["user/torch:1", *REFS])
@pytest.mark.parametrize("step", range(1, 9))
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_name_that_somebody_gives_an_image_at_any_step_stays_or_its_loss_is_recorded(
    host: FakeHost, engine: FakeEngine, references: tuple[str, ...], name: str, step: int, after: bool
) -> None:
    image = replace(add(host, *references, digests=()), references=references)
    host.docker.images[image.id].tags = list(references)
    given: list[str] = []

    def name_it() -> None:
        if image.id in host.docker.images:
            host.docker.tag(image.id, name)
            given.append(name)

    engine.on("*", name_it, nth=step, after=after)
    answers = answers_about(host, image)
    result = await harness.remove(engine, image, containerd=host.docker.containerd, answers=answers)
    if result.outcome is Outcome.REFUSED:
        assert tags(host, image) == {*references, *given}
    else:
        assert (result, host.docker.images) == (removal.RemovalResult(Outcome.REMOVED), {})
        assert answers.also_removed == tuple(name for name in given if name not in references)


@pytest.mark.parametrize("references", [(), REFS[:1]], ids=["nameless", "renamed"])
async def test_an_image_whose_one_name_somebody_gave_it_before_the_last_look_stays(
    host: FakeHost, engine: FakeEngine, references: tuple[str, ...]
) -> None:
    """The engine would delete it by its ID, with that name."""
    image = replace(add(host, *references, digests=()), references=references)
    host.docker.images[image.id].tags = list(references)

    def name_it() -> None:
        host.docker.tag(image.id, "user/torch:1")
        for reference in references:
            host.docker.delete(reference)

    engine.on("references", name_it)
    assert await remove(host, engine, image) == removal.RemovalResult(
        Outcome.REFUSED, "somebody named it user/torch:1 meanwhile"
    )
    assert tags(host, image) == {"user/torch:1"}


async def test_an_image_without_a_name_that_gets_one_after_the_last_look_is_lost_and_recorded(
    host: FakeHost, engine: FakeEngine
) -> None:
    image = replace(add(host, digests=()), references=())
    host.docker.images[image.id].tags = []
    engine.on("delete", lambda: host.docker.tag(image.id, "user/torch:1"))
    answers = answers_about(host, image)
    await harness.remove(engine, image, containerd=host.docker.containerd, answers=answers)
    assert answers.also_removed == ("user/torch:1",)


async def test_an_image_whose_tag_passed_to_another_one_after_the_look_stays_and_the_loss_is_recorded(
    host: FakeHost, engine: FakeEngine
) -> None:
    image = add(host, digests=())
    origin = make_digest("team/torch", "new")
    other = host.docker.add(replace(pytorch_image("new"), references=(), digests=(origin,)))
    engine.on("untag", lambda: host.docker.tag(other, REFS[0]))
    answers = answers_about(host, image)
    result = await harness.remove(engine, image, containerd=host.docker.containerd, answers=answers)
    assert result == removal.RemovalResult(Outcome.REFUSED, f"{REFS[0]} had passed to another image, which lost it")
    assert answers.also_removed == (REFS[0], origin, other)
    assert (tags(host, image), set(host.docker.images)) == ({*REFS[1:]}, {image.id})


async def remove_while_a_tag_passes(
    host: FakeHost, engine: FakeEngine, *, after: bool
) -> tuple[removal.RemovalResult, tuple[str, ...]]:
    """Another image, which has a name, gets a tag just before or after it is untagged, and the stream tells of it."""
    image, other = add(host, digests=()), host.docker.add(pytorch_image("new", "team/new:1"))
    own, answers = OwnRemovals(), answers_about(host, image)
    own.begin(image.id, host.clock.now())

    def pass_on() -> None:
        host.docker.tag(other, REFS[0])
        own.caused(make_event("tag", other, kind="image", name=REFS[0], at=host.clock.now()))

    engine.on("untag", pass_on, after=after)
    result = await removal.remove(
        engine, image, own, answers, containerd=host.docker.containerd, undisturbed=lambda: True
    )
    return result, answers.also_removed


def names_of(host: FakeHost, image: str) -> set[str]:
    return set(host.docker.images[make_id(image)].tags)


async def test_a_tag_that_an_image_with_other_names_lost_is_recorded(host: FakeHost, engine: FakeEngine) -> None:
    found = await remove_while_a_tag_passes(host, engine, after=False)
    assert found == (removal.RemovalResult(Outcome.REMOVED), (REFS[0],))
    assert names_of(host, "new") == {"team/new:1"}


async def test_a_tag_that_an_image_with_other_names_lost_is_not_given_to_the_one_that_stays(
    host: FakeHost, engine: FakeEngine
) -> None:
    engine.on("delete", Conflict(409, "no"))
    found = await remove_while_a_tag_passes(host, engine, after=False)
    assert found == (removal.RemovalResult(Outcome.REFUSED, "no"), (REFS[0],))
    assert (names_of(host, "torch"), names_of(host, "new")) == ({*REFS[1:]}, {"team/new:1"})


async def test_a_tag_that_another_image_got_after_the_untag_is_not_lost(host: FakeHost, engine: FakeEngine) -> None:
    found = await remove_while_a_tag_passes(host, engine, after=True)
    assert found == (removal.RemovalResult(Outcome.REMOVED), ())
    assert names_of(host, "new") == {"team/new:1", REFS[0]}


async def test_an_image_of_one_tag_goes_by_its_id_so_that_no_other_can_be_meant(
    host: FakeHost, engine: FakeEngine
) -> None:
    image = add(host, REFS[0], digests=())
    other = host.docker.add(replace(pytorch_image("new"), references=()))
    engine.on("delete", lambda: host.docker.tag(other, REFS[0]))
    assert await remove(host, engine, image) == removal.RemovalResult(Outcome.REMOVED)
    assert engine.mutations == [Call("delete", image.id)]
    assert tags(host, replace(image, id=other)) == {REFS[0]}


async def test_an_answer_that_cannot_be_read_is_told_and_the_image_is_looked_at(
    host: FakeHost, engine: FakeEngine
) -> None:
    engine.answers_readable = False
    image = add(host)
    assert await remove(host, engine, image) == removal.RemovalResult(Outcome.REMOVED, UNREADABLE)
    assert host.docker.images == {}


async def test_an_answer_that_cannot_be_read_is_told_of_an_image_that_stays(host: FakeHost, engine: FakeEngine) -> None:
    engine.answers_readable = False
    image = add(host)
    engine.on("delete", Conflict(409, "no"))
    assert await remove(host, engine, image) == removal.RemovalResult(Outcome.REFUSED, f"no; {UNREADABLE}")
    assert tags(host, image) == set(REFS)


async def test_a_tag_that_somebody_takes_away_meanwhile_is_not_put_back(host: FakeHost, engine: FakeEngine) -> None:
    image = add(host, digests=())
    engine.on("untag", lambda: host.docker.delete(REFS[1]), after=True)
    engine.on("delete", Conflict(409, "no"))
    await remove(host, engine, image)
    assert tags(host, image) == {REFS[0], REFS[2]}


# A death at every call


async def due(host: FakeHost) -> HostedAgent:
    """An agent that would evict now."""
    agent = await host.agent().watch()
    if host.docker.containerd:  # a digest proves no origin there: it was seen pulled
        host.docker.emit("image", "pull", REFS[0], name=REFS[0])
    await agent.wait()
    await agent.wait(PAST_TTL)
    return agent


async def test_the_steps_below_are_all_there_are(host: FakeHost) -> None:
    add(host)
    agent = await due(host)
    before = len(agent.engine.calls)
    await agent.sweeper.sweep()
    assert [call.method for call in agent.engine.mutations][-1] == "delete"
    assert len(agent.engine.calls) - before <= STEPS


STEPS = 12  # engine calls of a sweep that removes the image of three tags and two digests


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_killed_at_any_call_the_next_start_settles_it(host: FakeHost, step: int, after: bool) -> None:
    image = add(host)
    agent = await due(host)
    agent.engine.on("*", Killed(), nth=step, after=after)
    with contextlib.suppress(Killed):
        await agent.sweeper.sweep()
    await agent.kill()

    again = await host.agent().watch()
    if image.id in host.docker.images:
        host.docker.create(image.id)  # so that it is not evicted now
    await again.wait()
    await again.sweeper.sweep()
    outcomes = await again.outcomes()
    if image.id in host.docker.images:
        assert tags(host, image) == set(REFS)
        assert set(outcomes) <= {"failed"}
    else:
        assert outcomes == ["removed"]
    assert await again.view.engine_store.load_removals() == []
    decided = [event.data["decision_id"] for event in await again.events("torchkeeper.decision")]
    assert len(decided) == len(set(decided)) <= 1


async def test_an_engine_that_dies_on_the_way_is_settled_when_it_is_back(host: FakeHost) -> None:
    image = add(host)
    agent = await due(host)
    agent.engine.on("delete", host.docker.stop)
    with pytest.raises(EngineUnavailable):
        await agent.sweeper.sweep()
    assert tags(host, image) != set(REFS)
    host.docker.start()
    await agent.wait(60)
    host.docker.create(image.id)
    await agent.wait()
    await agent.sweeper.sweep()
    assert (tags(host, image), await agent.outcomes()) == (set(REFS), ["failed"])


async def test_a_tag_taken_by_another_image_while_the_agent_was_dead_is_left_to_it(host: FakeHost) -> None:
    image = add(host, digests=DIGESTS)
    agent = await due(host)
    agent.engine.on("delete", Killed())
    with pytest.raises(Killed):
        await agent.sweeper.sweep()
    await agent.kill()
    taken = next(iter(set(REFS) - tags(host, image)))
    other = host.docker.add(pytorch_image("new", "team/new:1"))
    host.docker.tag(other, taken)
    host.docker.create(image.id)
    again = await host.agent().watch()
    await again.sweeper.sweep()
    assert (tags(host, image), set(host.docker.images[other].tags)) == (set(REFS) - {taken}, {"team/new:1", taken})
    [outcome] = await again.events("torchkeeper.outcome")
    assert outcome.data["error"] == (f"interrupted; the image is whole; {taken} names another image by now; {UNHEARD}")
