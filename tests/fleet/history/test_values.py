"""Values as both databases accept them, and that no message of a host can stop a commit."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.fleet.collector.batch import Incoming
from agent.fleet.history import times, values
from agent.fleet.history.database import Database
from agent.fleet.history.tables import freed_days
from agent.fleet.live import bounds
from tests.fleet.collector.test_fold import damaged
from tests.support import history, messages
from tests.support.history import Collector, event
from tests.support.times import START


def test_a_text_loses_only_what_a_database_refuses() -> None:
    assert values.text("teamai/ä:1") == "teamai/ä:1"
    assert values.text("a\0b") == "a\N{REPLACEMENT CHARACTER}b"
    assert values.text("a\ud800") == "a?"


def test_a_long_key_is_cut_and_stays_different_from_others() -> None:
    first, second = values.key("x" * 3000), values.key("x" * 3001)
    assert first != second
    assert max(len(first), len(second)) <= values.LONGEST_KEY
    assert values.key("x" * values.LONGEST_KEY) == "x" * values.LONGEST_KEY


@pytest.mark.parametrize(
    ("value", "stored"), [(math.nan, 0.0), (math.inf, 1e11), (-math.inf, -1e11), (1.5, 1.5), (1e300, 1e11)]
)
def test_a_number_of_seconds_is_finite(value: float, stored: float) -> None:
    assert values.seconds(value) == stored


def test_numbers_have_bounds() -> None:
    assert (bounds.size(10**30), bounds.size(-(10**30)), bounds.size(5)) == (10**15, -(10**15), 5)
    assert (bounds.count(10**30), bounds.count(-1), bounds.count(5)) == (2**31 - 1, 0, 5)
    assert (values.whole(10**30), values.whole(-(10**30))) == (2**63 - 1, -(2**63))


HOSTILE: dict[str, Any] = {
    "explanation": "a\0b",
    "reason": "r" * 5000,
    "idle_seconds": math.inf,
    "estimated_bytes": 10**30,
    "evidence": ["\0", "x"],
    "image": {"id": "i" * 9000, "references": ["\0"], "size_bytes": -(10**30), "torch_version": "\0"},
}


async def test_a_decision_with_hostile_values_is_stored(collector: Collector) -> None:
    made = messages.make_decision(1, "d" * 9000, **HOSTILE)
    body = made.model_copy(update={"data": made.data | {"idle_seconds": 1e300}})
    committed = await collector.receive(event(body))
    (change,) = committed.decisions
    assert change.decision_id == values.key("d" * 9000)


async def test_sums_of_large_values_stay_in_bounds(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LARGEST_BYTES", 2**61)
    for number in range(1, 7):
        await collector.receive(event(messages.make_outcome(number, f"d{number}", measured_bytes=2**61)))
    (day,) = await history.rows(collector.database, freed_days, "measured", "evicted")
    assert day == {"measured": 2**62 + 2**61, "evicted": 6}
    (row,) = await collector.database.writer.load_rows()
    assert row.freed_24h_bytes == 6 * 2**61


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(received=st.lists(damaged(), min_size=1, max_size=8))
async def test_whatever_anybody_sends_can_be_committed(database: Database, received: list[Incoming]) -> None:
    collector = await Collector.start(database)
    committed = await collector.receive(*received)
    assert committed.streams.items() <= (await database.writer.load_streams()).items()
    assert len(await database.writer.load_rows()) <= 1


def test_times_are_whole_milliseconds_within_what_every_page_can_show() -> None:
    assert times.from_ms(times.to_ms(START)) == START
    assert times.to_ms(START.replace(year=1)) == 0
    assert times.from_ms(times.to_ms(START.replace(year=9999, month=12, day=31))).year == 9999
    assert (times.hour_of(times.HOUR + 5), times.day_of(times.DAY + 5)) == (times.HOUR, times.DAY)
