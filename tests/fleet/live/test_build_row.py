"""The row of a host, built from its retained topics."""

from datetime import timedelta
from typing import Any

import pytest

from agent.core.protocol import payloads
from agent.fleet.live import build_row
from agent.fleet.live.moments import milliseconds
from agent.fleet.live.row import HostRow
from agent.fleet.live.summary import InventorySummary, next_eviction, summary_of
from tests.support.messages import make_alert, make_info, make_inventory, make_inventory_image, make_last_decision
from tests.support.times import DAY, HOUR, START

NOW = milliseconds(START)
ROW = HostRow(host="gpu-07")


def test_the_row_has_what_the_info_says() -> None:
    pause = payloads.Pause(until=START + HOUR, reason="incident 4711")
    info = make_info(mode="observe", paused=pause, version="0.9.1", policy={"pressure": {"high": 0.9, "low": 0.7}})
    row = build_row.with_info(ROW, info, START)
    assert row == HostRow(host="gpu-07", mode="observe", paused=True, version="0.9.1", high=0.9)
    assert build_row.with_info(row, info, START + HOUR).paused is False
    assert build_row.with_info(row, None, START) == ROW


@pytest.mark.parametrize("policy", [{}, {"pressure": None}, {"pressure": {"high": None}}, {"pressure": {"high": "x"}}])
def test_a_policy_without_a_limit_of_the_disk_has_none(policy: dict[str, Any]) -> None:
    assert build_row.high_of(make_info(policy=policy)) is None


def test_the_row_has_what_the_inventory_says() -> None:
    disk = payloads.Disk(total_bytes=100, used_bytes=70, reclaimable_bytes=30)
    removed = make_last_decision("d1", START - HOUR, outcome="removed", measured_bytes=5)
    estimated = make_last_decision("d2", START - 2 * HOUR, outcome="removed", measured_bytes=None, estimated_bytes=7)
    refused = make_last_decision("d3", START, outcome="refused")
    before = make_last_decision("d4", START - DAY, outcome="removed", measured_bytes=1000)
    soon = make_inventory_image(deadline=START + HOUR)
    inventory = make_inventory(soon, disk=disk, left_out=3, decisions=(refused, removed, estimated, before))
    row = build_row.with_inventory(ROW, summary_of(inventory), NOW)
    assert row == HostRow(
        host="gpu-07",
        images=4,
        images_left_out=3,
        disk_used_bytes=70,
        disk_total_bytes=100,
        reclaimable_bytes=30,
        next_eviction=milliseconds(START + HOUR),
        last_decision_at=NOW,
        last_outcome="refused",
        freed_24h_bytes=12,
    )
    assert build_row.with_inventory(row, InventorySummary(), NOW) == ROW


@pytest.mark.parametrize(
    ("fields", "is_next"),
    [
        ({"action": "keep", "reason": "recent"}, True),
        ({"action": "keep", "reason": "min-age"}, True),
        ({"action": "evict", "reason": "idle-ttl"}, True),
        ({"action": "evict", "reason": "idle-ttl", "held_by": "paused"}, False),
        ({"action": "keep", "reason": "pinned"}, False),
        ({"action": "keep", "reason": "a reason of a newer agent"}, False),
    ],
)
def test_the_next_eviction_is_that_of_an_image_that_only_a_use_keeps(fields: dict[str, Any], is_next: bool) -> None:
    image = make_inventory_image(deadline=START, **fields)
    later = make_inventory_image(deadline=START + DAY)
    expected = START if is_next else START + DAY
    assert next_eviction([later, image]) == milliseconds(expected)


def test_nothing_is_next_where_no_image_has_a_deadline() -> None:
    assert next_eviction([make_inventory_image()]) is None


def test_the_row_counts_its_alerts_by_severity() -> None:
    critical = make_alert("full").model_copy(update={"severity": "critical"})
    row = build_row.with_alerts(ROW, [make_alert("a"), critical, make_alert("b")])
    assert row == HostRow(host="gpu-07", warnings=2, criticals=1)


@pytest.mark.parametrize(
    ("status", "silence", "state"),
    [
        (None, timedelta(), "unknown"),
        ("online", timedelta(minutes=3), "online"),
        ("online", timedelta(minutes=3, milliseconds=1), "stale"),
        ("offline", timedelta(), "offline"),
        ("offline", DAY, "offline"),
    ],
)
def test_an_online_host_is_stale_after_three_silent_minutes(status: Any, silence: timedelta, state: str) -> None:
    assert build_row.state_of(status, milliseconds(START - silence), NOW) == state


def test_an_online_host_that_was_never_seen_is_stale() -> None:
    assert build_row.state_of("online", None, NOW) == "stale"
