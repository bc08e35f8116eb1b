"""/api/overview."""

import pytest

from agent.fleet.history import times
from agent.fleet.live.row import StandingAlert
from tests.support.builders import GB
from tests.support.fleet_web import Monitor
from tests.support.times import HOUR, MINUTE, START

FULL = "disk-full-nothing-evictable"


def stand(monitor: Monitor, host: str, alert_id: str = FULL, hours: int = 0) -> None:
    since = times.to_ms(START - hours * HOUR)
    monitor.live.standing.append(
        StandingAlert(host=host, id=alert_id, severity="critical", message=f"{host} is full", since=since)
    )


async def test_the_overview_has_the_figures_of_the_fleet_and_what_holds_full_disks(monitor: Monitor) -> None:
    monitor.live.add("gpu-07", disk_used_bytes=99, disk_total_bytes=100, high=0.85, paused=True, mode="enforce")
    monitor.live.add("gpu-08", disk_used_bytes=80, disk_total_bytes=100, reclaimable_bytes=3 * GB, mode="observe")
    monitor.live.add("gpu-09", state="offline", disk_used_bytes=99, disk_total_bytes=100, reclaimable_bytes=9 * GB)
    stand(monitor, "gpu-07")
    stand(monitor, "gpu-09")
    stand(monitor, "gpu-08", "state-full")
    await monitor.history.host_image("gpu-07", reason="in-use", estimated=4 * GB)
    await monitor.start(mqtt_name="mqtts://broker:8883", mqtt_prefix="lab", collector="spare")
    assert await monitor.get("/api/overview") == (
        200,
        {
            "at": "2026-03-01T12:00:00Z",
            "hosts": {"online": 2, "stale": 0, "offline": 1, "unknown": 0},
            "observing": 1,
            "paused": 1,
            "reclaimed": {"measured_bytes": 0, "estimated_bytes": 0, "evicted": 0, "would_evict": 0, "regrets": 0},
            "reclaimable_bytes": 3 * GB,
            "reclaimable_hosts": 1,
            "over_high": 1,
            "high": "by their policy",
            "alerts": 3,
            "critical_alerts": {FULL: 2, "state-full": 1},
            "blocked": [
                {
                    "host": "gpu-07",
                    "message": "gpu-07 is full",
                    "since": "2026-03-01T12:00:00Z",
                    "held": [
                        {
                            "reason": "in-use",
                            "words": "are in use",
                            "images": 1,
                            "bytes": 4 * GB,
                            "way_out": "containers hold them, stopped ones, too: `docker ps -a --filter status=exited`;"
                            " remove those nobody needs",
                        }
                    ],
                }
            ],
            "decisions": [],
            "missing_events": 0,
            "dropped_events": 0,
            "monitor": {
                "broker": "connected",
                "broker_url": "mqtts://broker:8883",
                "prefix": "lab",
                "collector": "spare",
                "behind_events": 0,
                "last_commit": "2026-03-01T12:00:00Z",
            },
        },
    )


async def test_the_host_that_is_full_for_the_longest_comes_first(monitor: Monitor) -> None:
    for hours, host in enumerate(("gpu-07", "gpu-08", "gpu-09")):
        monitor.live.add(host)
        await monitor.history.host(host)
        stand(monitor, host, hours=hours)
    _, answer = await monitor.get("/api/overview")
    assert [blocked["host"] for blocked in answer["blocked"]] == ["gpu-09", "gpu-08", "gpu-07"]


@pytest.mark.parametrize(
    ("limits", "words"),
    [([0.85], "by their policy"), ([None], "above 85 %"), ([0.5, None], "by their policy, or above 85 %")],
)
async def test_it_says_which_limit_full_disks_are_above(
    monitor: Monitor, limits: list[float | None], words: str
) -> None:
    for number, high in enumerate(limits):
        monitor.live.add(f"gpu-{number}", disk_used_bytes=99, disk_total_bytes=100, high=high)
    assert (await monitor.get("/api/overview"))[1]["high"] == words


async def test_everybody_who_asks_within_five_seconds_gets_the_same_overview(monitor: Monitor) -> None:
    _, first = await monitor.get("/api/overview")
    await monitor.history.decision()
    _, same = await monitor.get("/api/overview")
    monitor.clock.freeze(MINUTE)
    _, later = await monitor.get("/api/overview")
    assert same == first
    assert [decision["decision_id"] for decision in later["decisions"]] == ["d1"]
