"""The sentence that a reader of an inventory makes: from reason, times and now."""

from datetime import timedelta
from typing import Any

import pytest

from agent.core.policy.decision import Reason
from agent.core.protocol import sentence
from tests.core.builders import NOW
from tests.fleet.builders import make_image

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reason": "recent", "idle_since": NOW - 3 * DAY, "deadline": NOW + 11 * DAY}, "idle 3 d; due in 11 d"),
        ({"reason": "recent", "idle_since": NOW - 15 * DAY, "deadline": NOW - DAY}, "idle 15 d; due now"),
        ({"reason": "recent", "idle_since": NOW + DAY, "deadline": NOW + 2 * DAY}, "idle 0 s; due in 2 d"),
        ({"reason": "recent", "running": True}, "used now"),
        ({"reason": "recent"}, "idle"),
        (
            {"reason": "gap", "deadline": NOW + timedelta(hours=5)},
            "uses may have been missed in a monitoring gap; due in 5 h",
        ),
        ({"reason": "in-use", "running": True, "last_used_by": "train"}, "a container uses it (train)"),
        ({"reason": "in-use"}, "a container that does not run has it"),
        ({"reason": "pinned"}, "kept: it is pinned"),
        ({"reason": "a reason of a newer agent"}, "a reason of a newer agent"),
        ({"action": "evict", "reason": "idle-ttl", "explanation": "idle 15 d, TTL 14 d"}, "idle 15 d, TTL 14 d"),
    ],
)
def test_a_sentence_is_made_from_reason_times_and_now(fields: dict[str, Any], expected: str) -> None:
    assert sentence.why(make_image(**fields), NOW) == expected


@pytest.mark.parametrize("reason", [reason for reason in Reason if not reason.evicts])
def test_each_reason_to_keep_an_image_has_a_sentence_and_not_only_its_name(reason: Reason) -> None:
    found = sentence.why(make_image(reason=reason.value, idle_since=NOW, deadline=NOW), NOW)
    assert found not in ("", reason.value)
