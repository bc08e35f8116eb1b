"""The figures of the fleet, and which host is the worst."""

from collections import Counter
from typing import Any

from agent.fleet import totals
from agent.fleet.live.row import HostRow
from agent.fleet.totals import FleetTotals


def row(host: str, **fields: Any) -> HostRow:
    return HostRow(host=host, **({"state": "online"} | fields))


def test_sums_leave_out_hosts_that_are_offline_and_counts_do_not() -> None:
    known = {"images": 2, "disk_used_bytes": 70, "disk_total_bytes": 100, "reclaimable_bytes": 30}
    more: dict[str, Any] = {"freed_24h_bytes": 5, "mode": "enforce", "version": "1"}
    rows = [
        row("a", **known, **more, criticals=1, warnings=2),
        row("b", **known, **more, state="stale", paused=True),
        row("c", **known, **more, state="offline", warnings=1),
        row("d", state="unknown"),
    ]
    assert totals.total(rows) == FleetTotals(
        hosts=4,
        states=Counter({"online": 1, "stale": 1, "offline": 1, "unknown": 1}),
        modes=Counter({"enforce": 3}),
        paused=1,
        versions=Counter({"1": 3}),
        images=4,
        disk_used_bytes=140,
        disk_total_bytes=200,
        reclaimable_bytes=60,
        freed_24h_bytes=10,
        warnings=3,
        criticals=1,
    )


def test_the_worst_host_has_a_critical_alert_then_silence_then_a_warning_then_a_full_disk() -> None:
    ranked = [
        row("critical", criticals=1),
        row("offline", state="offline"),
        row("stale", state="stale"),
        row("unknown", state="unknown"),
        row("warning", warnings=1),
        row("full", disk_used_bytes=9, disk_total_bytes=10),
        row("half", disk_used_bytes=5, disk_total_bytes=10),
        row("a"),
        row("b"),
    ]
    by_name = sorted(ranked, key=lambda row: row.host)
    assert sorted(by_name, key=totals.badness) == ranked


def test_the_share_of_a_disk_without_a_size_is_not_known() -> None:
    assert totals.used_share(row("a", disk_used_bytes=1, disk_total_bytes=0)) is None
    assert totals.used_share(row("a", disk_total_bytes=10)) is None
    assert totals.used_share(row("a", disk_used_bytes=1, disk_total_bytes=4)) == 0.25
