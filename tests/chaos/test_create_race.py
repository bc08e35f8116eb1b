"""A create that races each removal: the container lives, or was turned down; the image is whole, or gone."""

import pytest

from tests.chaos import races
from tests.support import dockerd

pytestmark = pytest.mark.soak

SEED = 1
THE_LONG_ONE = 1000  # rounds
SECONDS = 75.0  # for it
A_FEW = 150  # rounds
A_WHILE = 25.0  # seconds


async def test_a_create_that_races_a_removal_lives_or_is_turned_down(fresh_engine: dockerd.Dockerd) -> None:
    run = await races.race(fresh_engine, rounds=THE_LONG_ONE, seconds=SECONDS, seed=SEED)
    print(run)
    assert run.faults == []
    assert {"kept and created", "gone and 404"} <= set(run.ended), "no round was close enough to be a race"


async def test_it_does_on_every_engine(any_engine: dockerd.Dockerd) -> None:
    any_engine.empty()
    run = await races.race(any_engine, rounds=A_FEW, seconds=A_WHILE, seed=SEED)
    print(run)
    assert run.faults == []
    assert run.rounds >= A_FEW / 3
