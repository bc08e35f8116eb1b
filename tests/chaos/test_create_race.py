"""A create that races each removal: the container lives, or was turned down; the image is whole, or gone."""

from pathlib import Path

import pytest

from tests.chaos import races
from tests.support import dockerd, engines

SEED = 1
ROUNDS = {"20.10": 200, "26.1-containerd": 60, "current-containerd": 60}  # by each test; `make chaos` runs more

pytestmark = pytest.mark.timeout(1200)  # seconds: many races


@pytest.fixture(params=engines.HEAVY)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def course(kind: str, pool_of_engines: engines.Pool) -> dockerd.Dockerd:
    engine = pool_of_engines.get(kind)
    engine.empty()
    return engine


async def test_a_create_that_races_a_removal_lives_or_is_turned_down(course: dockerd.Dockerd, kind: str) -> None:
    judge(await races.race_removals(course, rounds=ROUNDS[kind], seed=SEED))


async def test_a_create_that_races_an_eviction_does_too_and_each_decision_has_its_outcome(
    course: dockerd.Dockerd, kind: str, tmp_path: Path
) -> None:
    judge(await races.race_evictions(course, tmp_path, rounds=ROUNDS[kind], seed=SEED))


def judge(run: races.Races) -> None:
    print(run)
    assert run.faults == []
    assert set(run.asked) == {"before", "within", "after"}, run
    assert {"kept and created", "gone and 404"} <= set(run.ended), run
