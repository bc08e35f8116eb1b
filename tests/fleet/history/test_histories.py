"""Random histories of a collector: deliveries, kills and restored copies, against what the hosts have sent."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fleet.history.test_writer import SOURCE, commit_killed_at, facts, make_story
from tests.support import history
from tests.support.history import Collector
from tests.support.times import START

LAST = 10
NUMBERS = st.lists(st.integers(1, LAST), min_size=1, max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), NUMBERS, st.just(0)),
        st.tuples(st.just("kill"), NUMBERS, st.integers(1, 25)),  # at this statement of the commit
        st.tuples(st.just("copy"), st.just([]), st.just(0)),
        st.tuples(st.just("restore"), st.just([]), st.just(0)),
    ),
    max_size=8,
)
Step = tuple[str, Sequence[int], int]


async def take(folder: Path, step: Step) -> None:
    """One step of a collector that starts anew with the file that is there."""
    what, numbers, statement = step
    if what == "restore":
        if (folder / "copy.db").exists():
            shutil.copy(folder / "copy.db", folder / "fleet.db")
        return
    async with history.opened(f"sqlite:///{folder}/fleet.db") as database:
        collector = await Collector.start(database)
        if what == "deliver":
            await collector.receive(*make_story(*numbers))
        elif what == "kill":
            batch = collector.fold.apply(make_story(*numbers), START)
            await commit_killed_at(database, batch, statement)
    if what == "copy":
        shutil.copy(folder / "fleet.db", folder / "copy.db")  # closed, so its log is empty


@pytest.fixture
async def whole(sqlite_template: Path, tmp_path: Path) -> Mapping[str, Any]:
    """The history of a collector to which nothing happened."""
    shutil.copy(sqlite_template, tmp_path)
    async with history.opened(f"sqlite:///{tmp_path}/fleet.db") as database:
        await (await Collector.start(database)).receive(*make_story(*range(1, LAST + 1)))
        return await facts(database)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_whatever_happened_sending_again_from_the_watermark_completes_the_history_once(
    sqlite_template: Path, whole: Mapping[str, Any], steps: list[Step]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(sqlite_template, folder)
        for step in steps:
            await take(folder, step)
        async with history.opened(f"sqlite:///{folder}/fleet.db") as database:
            state = (await database.writer.load_streams()).get(SOURCE)
            again = range((state.contiguous if state else 0) + 1, LAST + 1)
            if again:
                await (await Collector.start(database)).receive(*make_story(*again))
            assert await facts(database) == whole
