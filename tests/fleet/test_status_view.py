"""`fleet status` for people: what matters stands first, and nothing of it is cut off on a small screen."""

import time
from datetime import timedelta

import pytest

from agent.core.protocol import payloads
from agent.fleet import status_view
from agent.fleet.view import FleetView
from tests.fleet.test_terminal import NOW, make_fleet, render
from tests.support.messages import (
    make_alert,
    make_info,
    make_inventory,
    make_inventory_image,
    make_last_decision,
    make_status,
    topic,
)
from tests.support.times import DAY, HOUR, START


def lines(fleet: FleetView, width: int = 80, height: int | None = None) -> list[str]:
    return [" ".join(line.split()) for line in render(status_view.status_view(fleet, NOW, height), width).splitlines()]


def make_critical(message: str = "99 % full, and nothing may be evicted now") -> bytes:
    return make_alert("full", message).model_copy(update={"severity": "critical"}).encode()


def test_a_host_is_one_line_with_its_state_and_mode_in_words() -> None:
    fleet = make_fleet("gpu-07", "gpu-08", "gpu-09")
    fleet.apply(topic("status", "gpu-08"), make_status("offline").encode(), NOW)
    fleet.apply(topic("status", "gpu-09"), make_status().encode(), NOW)
    fleet.apply(topic("status", "new"), make_status().encode(), NOW)
    pause = payloads.Pause(until=None, reason="")
    fleet.apply(topic("info", "gpu-07"), make_info(mode="observe").encode(), START)
    fleet.apply(topic("info", "gpu-09"), make_info(paused=pause).encode(), NOW)
    assert lines(fleet) == [
        "HOST STATE MODE SEEN IMAGES DISK RECLAIM NEXT FREED ALERTS VERSION",
        "gpu-08 offline - 4 min ago 1 76 % 312 GB - - 0 -",
        "gpu-07 stale observe 4 min ago 1 76 % 312 GB - - 0 0.1.0",
        "gpu-09 online paused 0 s ago 1 76 % 312 GB - - 0 0.1.0",
        "new online - 0 s ago - - - - - 0 -",
        "4 hosts: 2 online, 1 stale, 1 offline; no alert",
        "3.1 TB of 4.0 TB used, 625 GB reclaimable, 0 B freed in 24 h, 2 images (without",
        "1 offline)",
        "1 enforce, 1 observe, 1 paused; torchkeeper 0.1.0 (2)",
    ]


def test_a_host_shows_what_goes_next_and_what_went_in_the_last_day() -> None:
    fleet = make_fleet("a", "b")
    went = make_last_decision(at=NOW - HOUR, outcome="removed", measured_bytes=4_900_000_000)
    for host, deadline in (("a", NOW + 3 * DAY), ("b", NOW)):
        image = make_inventory_image(deadline=deadline)
        fleet.apply(topic("inventory", host), make_inventory(image, decisions=(went,)).encode(), NOW)
    assert lines(fleet)[1:3] == [
        "a online - 0 s ago 1 - - 0 B 3 d 4.9 GB 0 -",
        "b online - 0 s ago 1 - - 0 B now 4.9 GB 0 -",
    ]
    assert "9.8 GB freed in 24 h" in lines(fleet)[4]


def test_alerts_stand_first_with_their_host_and_age_and_the_critical_ones_before_the_others() -> None:
    fleet = make_fleet("gpu-07", "gpu-08")
    fleet.apply(topic("alerts/disk", "gpu-07"), make_alert(message="nearly full").encode(), START)
    fleet.apply(topic("alerts/full", "gpu-08"), make_critical("full"), START)
    shown = lines(fleet)
    assert shown[:2] == ["critical gpu-08, for 4 min: full", "warning gpu-07, for 4 min: nearly full"]
    assert [line.split()[0] for line in shown[3:5]] == ["gpu-08", "gpu-07"]
    assert shown[5] == "2 hosts: 2 stale; 2 alerts (1 critical)"


def test_the_fullest_disk_is_the_worst_of_hosts_without_an_alert() -> None:
    fleet = FleetView("torchkeeper")
    for host, used in (("a", 10), ("b", 95), ("c", 50)):
        disk = payloads.Disk(total_bytes=100, used_bytes=used)
        fleet.apply(topic("status", host), make_status(at=NOW).encode(), NOW)
        fleet.apply(topic("inventory", host), make_inventory(disk=disk).encode(), NOW)
    assert [line.split()[0] for line in lines(fleet)[1:4]] == ["b", "c", "a"]


def make_large_fleet(hosts: int, alerts: int) -> FleetView:
    fleet = make_fleet(*(f"gpu-{number:03}" for number in range(hosts)))
    for number in range(alerts):
        fleet.apply(topic("alerts/full", f"gpu-{number:03}"), make_critical("x" * 100), START)
    return fleet


@pytest.mark.parametrize("height", [10, 24, 50])
@pytest.mark.parametrize(("hosts", "alerts"), [(3, 0), (300, 0), (300, 2), (300, 200)])
def test_a_screen_of_any_height_has_the_totals_and_alerts_and_the_worst_hosts(
    hosts: int, alerts: int, height: int
) -> None:
    fleet = make_large_fleet(hosts, alerts)
    shown = lines(fleet, height=height)
    assert len(shown) <= height
    assert shown[0].startswith(f"{hosts} host")
    listed = [line for line in shown if line.startswith("gpu-")]
    assert listed[0].startswith("gpu-000 ")
    alerted = sum(line.startswith("critical ") for line in shown)
    assert alerted == 0 if not alerts else alerted >= 1
    assert (f"and {alerts - alerted:,} more alerts" in shown) is (alerts > alerted)
    assert (f"and {hosts - len(listed):,} more hosts" in shown) is (hosts > len(listed))


def test_an_alert_that_alone_is_too_long_for_the_screen_is_cut_and_not_left_out() -> None:
    fleet = make_fleet("gpu-07")
    fleet.apply(topic("alerts/full"), make_critical("word " * 200), START)
    shown = lines(fleet, height=10)
    assert shown[3].startswith("critical gpu-07, for 4 min: word word")
    assert len(shown) <= 10
    assert shown[-1].startswith("gpu-07 stale")


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (200, "HOST STATE MODE SEEN IMAGES USED DISK RECLAIM NEXT FREED ALERTS VERSION"),
        (80, "HOST STATE MODE SEEN DISK RECLAIM NEXT FREED ALERTS"),
    ],
)
def test_a_narrow_table_leaves_out_the_columns_that_matter_least(width: int, columns: str) -> None:
    fleet = make_fleet("a-host-with-a-long-name-that-is-cut-where-there-is-no-room", "gpu-07")
    fleet.apply(topic("info"), make_info(version="0.9.1+" + "v" * 20).encode(), START)
    shown = render(status_view.status_view(fleet, NOW), width).splitlines()
    assert " ".join(shown[0].split()) == columns
    assert max(map(len, shown)) <= width


def test_a_wide_version_from_a_stranger_does_not_shift_the_columns() -> None:
    fleet = make_fleet("gpu-07", "gpu-08")
    fleet.apply(topic("info"), make_info(version="零点九\x1b[31m").encode(), START)
    shown = render(status_view.status_view(fleet, NOW), 120).splitlines()[1:3]
    assert "零点九?[31m" in shown[0]
    assert [len(line) for line in shown] == [len(shown[1]) - 3, len(shown[1])]  # each of the three takes two columns


def test_the_totals_name_the_versions_that_most_hosts_run() -> None:
    fleet = make_fleet(*"abcdefg")
    for host, version in zip("abcdefg", ("1", "1", "2", "3", "4", "5", "6"), strict=True):
        fleet.apply(topic("info", host), make_info(version=version).encode(), START)
    assert lines(fleet)[-1] == "7 enforce, 0 paused; torchkeeper 1 (2), 2 (1), 3 (1), 4 (1) and 2 more"


def test_ten_thousand_hosts_are_shown_in_a_moment() -> None:
    fleet = make_large_fleet(10_000, 300)
    began = time.process_time()
    shown = lines(fleet)
    assert time.process_time() - began < 5  # seconds
    assert len(shown) > 10_000


def test_a_host_whose_clock_is_ahead_is_not_seen_in_the_future() -> None:
    fleet = FleetView("torchkeeper")
    fleet.apply(topic("status"), make_status(at=NOW + timedelta(days=1)).encode(), NOW, retained=True)
    assert "0 s ago" in lines(fleet)[1]
