"""The verdict of a soak, and one that is over in seconds."""

from tests.soak import run
from tests.soak.run import Sample

STEADY = [Sample(70.0, 20, 8, 100)] * 9


def test_an_agent_that_stays_as_it_is_has_not_grown() -> None:
    assert run.growth([Sample(50.0, 10, 4, 1), *STEADY]) == []


def test_memory_descriptors_and_threads_that_grow_are_named() -> None:
    grown = [*STEADY[:6], *[Sample(75.0, 21, 9, 200)] * 4]
    assert run.growth(grown) == [
        "memory_mb has grown from 70.0 to 75.0",
        "descriptors has grown from 20 to 21.0",
        "threads has grown from 8 to 9.0",
    ]


def test_a_soak_looks_at_a_real_agent_under_churn() -> None:
    samples = run.soak(11, 20, print)
    assert len(samples) == 1
    assert samples[0].memory_mb > 30
    assert samples[0].events > 1
