"""Look-ups about events: a refused one leaves the event unresolved, an engine that is away is asked again later."""

import pytest

from agent.adapters.engine import EngineError, EngineUnavailable, MadeFrom, NotFound
from agent.core.usage.events import EngineEvent
from agent.core.usage.fold import Resolved, UsageFold
from agent.tracking.resolver import EventResolver
from tests.support.builders import make_event, make_id


class FailingEngine:
    """An engine that knows which image a container was made from, and fails every other look-up."""

    def __init__(self, error: EngineError) -> None:
        self.error = error

    async def made_from(self, container_id: str) -> MadeFrom:
        return MadeFrom(make_id("torch"), ("data:1",))

    async def fail(self, _name: str) -> None:
        raise self.error

    image_id = pulled_target = layers = fail


LOOK_UPS = {
    "a pull": (make_event("pull", "team/torch:1", kind="image"), Resolved()),
    "a build": (make_event("tag", make_id("child"), kind="image", name="team/child:1"), Resolved()),
    "a mount": (make_event("create", "box"), Resolved(make_id("torch"), (make_id("data"),))),
}


async def resolve(event: EngineEvent, error: EngineError) -> Resolved:
    async def no_history(_container_id: str) -> None:
        return None

    fold = UsageFold()
    fold.watched = True
    fold.tracker.names.add(make_id("data"), ["data:1"])
    return await EventResolver(FailingEngine(error), fold, no_history).resolve(event, ())  # type: ignore[arg-type]


@pytest.mark.parametrize(("event", "resolved"), LOOK_UPS.values(), ids=LOOK_UPS)
async def test_a_refused_look_up_leaves_the_event_unresolved(event: EngineEvent, resolved: Resolved) -> None:
    assert await resolve(event, NotFound(404, "no such image")) == resolved


@pytest.mark.parametrize("event", [event for event, _ in LOOK_UPS.values()], ids=LOOK_UPS)
async def test_a_look_up_at_an_engine_that_is_away_raises(event: EngineEvent) -> None:
    with pytest.raises(EngineUnavailable):
        await resolve(event, EngineUnavailable(0, "connection refused"))
