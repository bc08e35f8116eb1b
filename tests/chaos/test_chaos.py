"""Parts are killed and the agent is frozen, at random for a while; afterwards every promise still holds."""

import pytest

from tests.chaos import run
from tests.support import proc

SECONDS = 60.0
SEED = 7


@pytest.mark.real
@pytest.mark.timeout(1200)  # seconds
async def test_every_promise_holds_through_a_minute_of_kills_and_freezes() -> None:
    proc.require_root()
    found = await run.run(SECONDS, SEED)
    print(found)
    assert found.faults == ()
    done = ("evictions removed", "uses", "of the agent", "of the engine", "freezes", "events a second while frozen")
    assert all(found.figures.get(name, 0) for name in done)
