"""Which records of the build cache were not used for long enough."""

from typing import Any

import pytest

from agent.core.policy.build_cache import CacheRecord, stale
from tests.support.builders import NOW
from tests.support.times import DAY, SECOND


def record(name: str = "r", **facts: object) -> CacheRecord:
    return CacheRecord(**{"id": name, "size_bytes": 100, "last_used": NOW - 8 * DAY, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "goes"),
    [
        ({}, True),
        ({"last_used": NOW - 7 * DAY}, True),
        ({"last_used": NOW - 7 * DAY + SECOND}, False),
        ({"in_use": True}, False),
        ({"last_used": None, "created": NOW - 8 * DAY}, True),
        ({"last_used": NOW, "created": NOW - 8 * DAY}, False),
        ({"last_used": None}, False),
        ({"last_used": NOW + DAY}, False),
    ],
    ids=str,
)
def test_a_record_is_stale_when_nobody_used_it_for_so_long(facts: dict[str, Any], goes: bool) -> None:
    found = record(**facts)
    assert stale([found], 7 * DAY, NOW) == ((found,) if goes else ())
