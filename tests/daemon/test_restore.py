"""An evicted image comes back with its tags, unless another image has them now; a second try ends the first."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from agent.adapters.engine import EngineError, EngineInfo, EngineUnavailable, NotFound
from agent.adapters.puller import Progress
from agent.core.protocol.evicted import Evicted
from agent.daemon.restore import NotRestored, Restored, restore
from tests.support.builders import make_engine_info, make_id

ID, OTHER = make_id("torch"), make_id("other")
ORIGIN = f"reg.io/team/torch@sha256:{'d' * 64}"
TAGS = ("reg.io/team/torch:1", "team/torch:best")
IMAGE = Evicted(ID, TAGS, ORIGIN, datetime(2026, 3, 1, tzinfo=UTC))


class FakePuller:
    """An engine with a registry that has one image."""

    def __init__(self, **names: str) -> None:
        self.names = dict(names)  # reference -> ID
        self.pulled = self.closed = 0
        self.after_pull: dict[str, str] = {ORIGIN: ID}
        self.error: EngineError | None = None

    async def connect(self) -> EngineInfo:
        return make_engine_info()

    async def close(self) -> None:
        self.closed += 1

    async def image_id(self, reference: str) -> str:
        if reference not in self.names:
            raise NotFound(404, f"no such image: {reference}")
        return self.names[reference]

    @asynccontextmanager
    async def pull(self, reference: str) -> AsyncIterator[AsyncIterator[Progress]]:
        assert reference == ORIGIN

        async def steps() -> AsyncIterator[Progress]:
            yield Progress("layer", "Downloading", 1, 2)
            if self.error is not None:
                raise self.error
            self.pulled += 1
            self.names |= self.after_pull

        yield steps()

    async def tag(self, image_id: str, reference: str) -> None:
        self.names[reference] = image_id


async def run(engine: FakePuller, image: Evicted = IMAGE) -> Restored:
    return await restore(engine, image, lambda _: None)


async def refusal(engine: FakePuller, image: Evicted = IMAGE) -> str:
    with pytest.raises(NotRestored) as caught:
        await run(engine, image)
    return str(caught.value)


async def test_it_is_pulled_by_its_digest_and_gets_all_its_tags() -> None:
    engine = FakePuller()
    assert await run(engine) == Restored(ID, ORIGIN, True, TAGS)
    assert engine.names == {ORIGIN: ID, **dict.fromkeys(TAGS, ID)}


async def test_a_second_restore_changes_nothing() -> None:
    engine = FakePuller()
    await run(engine)
    assert await run(engine) == Restored(ID, ORIGIN, False, ())
    assert engine.pulled == 1


async def test_one_that_was_interrupted_after_the_pull_is_ended_by_the_next() -> None:
    engine = FakePuller(**{ORIGIN: ID, TAGS[0]: ID})
    assert await run(engine) == Restored(ID, ORIGIN, False, TAGS[1:])
    assert engine.pulled == 0


async def test_a_tag_of_another_image_stops_it_before_the_pull() -> None:
    engine = FakePuller(**{TAGS[1]: OTHER})
    said = await refusal(engine)
    assert said.startswith(f"{TAGS[1]} now belongs to another image, {OTHER[7:19]}; nothing was pulled.")
    assert said.endswith(f"docker tag {TAGS[1]} NEW_NAME && docker rmi {TAGS[1]}")
    assert (engine.pulled, engine.names) == (0, {TAGS[1]: OTHER})


async def test_a_tag_that_another_image_gets_during_the_pull_stays_with_it() -> None:
    engine = FakePuller()
    engine.after_pull |= {TAGS[0]: OTHER}
    assert f"the image is here as {ORIGIN}" in await refusal(engine)
    assert engine.names == {ORIGIN: ID, TAGS[0]: OTHER}


async def test_an_image_that_no_registry_has_cannot_be_pulled() -> None:
    said = await refusal(FakePuller(), Evicted(ID, TAGS, None, IMAGE.at))
    assert said.startswith(f"{' '.join(TAGS)}: no registry is known to have this image")


async def test_what_the_registry_refuses_is_said_with_the_way_to_log_in() -> None:
    engine = FakePuller()
    engine.error = EngineError(0, "unauthorized: authentication required")
    said = await refusal(engine)
    assert said.startswith(f"{ORIGIN} cannot be pulled: unauthorized: authentication required; if the registry wants")
    assert engine.names == {}


async def test_an_engine_that_goes_away_is_not_blamed_on_the_registry() -> None:
    engine = FakePuller()
    engine.error = EngineUnavailable(0, "gone")
    with pytest.raises(EngineUnavailable, match="gone"):
        await run(engine)


async def test_a_pull_that_brings_no_image_is_not_taken_for_a_success() -> None:
    engine = FakePuller()
    engine.after_pull = {}
    assert "the pull ended, but the image is not here; try again" in await refusal(engine)


async def test_an_image_that_has_another_id_in_another_store_gets_its_tags_too() -> None:
    engine = FakePuller()
    engine.after_pull = {ORIGIN: OTHER}
    assert await run(engine) == Restored(OTHER, ORIGIN, True, TAGS)
