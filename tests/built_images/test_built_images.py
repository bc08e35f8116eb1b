"""Images that were really built, with stubs of the installers: what is in them is held against the verdict on them.

All forms were built once and their metadata recorded; a sample of them is built anew in each run of the tests.
"""

import pytest

from tests.built_images import building, judging, record
from tests.built_images.case import BUILDKIT, CLASSIC, Case
from tests.built_images.cases import CASES, limits
from tests.support import engines

BUILDERS = (CLASSIC, BUILDKIT)
EVERY = 47  # one of so many cases is built anew by each builder; odd, for twins stand side by side


@pytest.fixture(scope="module")
def recorded() -> list[record.Recorded]:
    return record.read()


def sample(builder: str) -> dict[str, Case]:
    """Every forty-seventh case; those of the other builder lie between."""
    built = [(name, case) for name, case in CASES.items() if builder in case.builders]
    return dict(built[BUILDERS.index(builder) * EVERY // 2 :: EVERY])


def test_each_case_is_recorded_as_each_of_its_builders_made_it(recorded: list[record.Recorded]) -> None:
    assert {(row.case, row.builder) for row in recorded} == {
        (name, builder) for name, case in CASES.items() for builder in case.builders
    }


def test_no_image_without_torch_is_called_pytorch(recorded: list[record.Recorded]) -> None:
    assert judging.names(judging.false_ones(recorded)) == []


def test_nearly_all_that_visibly_installed_torch_are_called_pytorch(recorded: list[record.Recorded]) -> None:
    sure, missed = judging.sure_ones(recorded), judging.missed(recorded)
    assert len(missed) <= (1 - judging.WANTED) * len(sure), judging.names(missed)


@pytest.mark.parametrize(("without", "with_it"), limits.PAIRS.items())
def test_two_images_with_one_history_may_differ_in_what_is_in_them(
    recorded: list[record.Recorded], without: str, with_it: str
) -> None:
    rows = {row.case: row for row in recorded if row.builder == BUILDKIT}
    one, other = rows[f"limit: {without}"], rows[f"limit: {with_it}"]
    assert (one.history, one.has_torch, other.has_torch) == (other.history, False, True)


@pytest.mark.parametrize("builder", BUILDERS)
async def test_what_is_built_now_is_as_recorded(
    builder: str, recorded: list[record.Recorded], pool_of_engines: engines.Pool
) -> None:
    chosen = sample(builder)
    built = await building.build_all(pool_of_engines.get(building.ENGINES[builder]), builder, chosen)
    assert built == [row for row in recorded if row.builder == builder and row.case in chosen]
    assert judging.names(judging.false_together(built)) == []
    assert len(built) >= 15
