"""/api/hosts."""

from agent.fleet.history import times
from agent.fleet.live.row import COLUMNS, HostRow, StandingAlert
from tests.support.fleet_web import Monitor
from tests.support.times import HOUR, START

NOW = times.to_ms(START)


async def test_the_list_has_each_host_by_name_with_its_alerts_and_the_sums_without_offline_hosts(
    monitor: Monitor,
) -> None:
    monitor.live.add("gpu-08", state="offline", images=7, reclaimable_bytes=70)
    monitor.live.add(
        "gpu-07",
        mode="enforce",
        paused=False,
        version="0.9.1",
        last_seen=NOW,
        images=5,
        images_left_out=2,
        disk_used_bytes=70,
        disk_total_bytes=100,
        high=0.85,
        reclaimable_bytes=30,
        next_eviction=times.to_ms(START + HOUR),
        warnings=1,
        last_decision_at=NOW,
        last_outcome="removed",
        freed_24h_bytes=4,
        regrets_30d=1,
    )
    monitor.live.standing = [StandingAlert(host="gpu-07", id="disk", severity="warning", message="full", since=NOW)]
    unknown = dict.fromkeys(
        ["mode", "paused", "version", "last_seen", "disk_used_bytes", "disk_total_bytes", "high", "next_eviction"]
    )
    assert await monitor.get("/api/hosts") == (
        200,
        {
            "at": "boot.0.0",
            "hosts": [
                {
                    "host": "gpu-07",
                    "state": "online",
                    "mode": "enforce",
                    "paused": False,
                    "version": "0.9.1",
                    "last_seen": "2026-03-01T12:00:00Z",
                    "images": 5,
                    "images_left_out": 2,
                    "disk_used_bytes": 70,
                    "disk_total_bytes": 100,
                    "high": 0.85,
                    "reclaimable_bytes": 30,
                    "next_eviction": "2026-03-01T13:00:00Z",
                    "last_decision": {"at": "2026-03-01T12:00:00Z", "outcome": "removed"},
                    "freed_24h_bytes": 4,
                    "regrets_30d": 1,
                    "alerts": [
                        {
                            "host": "gpu-07",
                            "id": "disk",
                            "severity": "warning",
                            "message": "full",
                            "since": "2026-03-01T12:00:00Z",
                            "until": None,
                        }
                    ],
                },
                unknown
                | {
                    "host": "gpu-08",
                    "state": "offline",
                    "images": 7,
                    "images_left_out": 0,
                    "reclaimable_bytes": 70,
                    "last_decision": None,
                    "freed_24h_bytes": 0,
                    "regrets_30d": 0,
                    "alerts": [],
                },
            ],
            "totals": {
                "hosts": {"online": 1, "stale": 0, "offline": 1, "unknown": 0},
                "images": 5,
                "disk_used_bytes": 70,
                "disk_total_bytes": 100,
                "reclaimable_bytes": 30,
                "alerts": 1,
                "critical_alerts": 0,
            },
            "next": None,
        },
    )


async def test_one_host_has_what_the_list_shows_and_its_alerts_beside_its_history(monitor: Monitor) -> None:
    monitor.live.add("gpu-07", images=1)
    monitor.live.add("gpu-08")
    for host in ("gpu-07", "gpu-08"):
        monitor.live.standing.append(StandingAlert(host=host, id="disk", severity="warning", message="x", since=NOW))
    await monitor.history.host_image(reason="in-use")
    _, answer = await monitor.get("/api/hosts/gpu-07")
    _, listed = await monitor.get("/api/hosts?limit=1")
    assert answer["host"] == listed["hosts"][0]
    assert answer["alerts"] == listed["hosts"][0]["alerts"]
    assert [alert["host"] for alert in answer["alerts"]] == ["gpu-07"]
    assert [(image["reason"], image["class"]) for image in answer["images"]] == [("in-use", "pytorch")]
    assert [held["reason"] for held in answer["held"]] == ["in-use"]


async def test_the_hosts_as_columns_are_all_hosts_as_lists(monitor: Monitor) -> None:
    for number in range(1001):
        monitor.live.add(f"gpu-{number:04}")
    status, answer = await monitor.get("/api/hosts?format=columns")
    assert (status, answer["at"], answer["columns"], len(answer["hosts"])) == (200, "boot.0.0", list(COLUMNS), 1001)
    assert HostRow(**dict(zip(answer["columns"], answer["hosts"][0], strict=True))) == monitor.live.row("gpu-0000")


async def test_hosts_are_filtered_by_a_part_of_their_name_and_by_state(monitor: Monitor) -> None:
    monitor.live.add("gpu-07")
    monitor.live.add("gpu-08", state="stale")
    monitor.live.add("cpu-1", state="stale")
    _, answer = await monitor.get("/api/hosts?q=GPU&state=stale")
    assert [host["host"] for host in answer["hosts"]] == ["gpu-08"]


async def test_the_next_page_of_hosts_begins_after_the_last_one_shown(monitor: Monitor) -> None:
    for name in "abc":
        monitor.live.add(name)
    _, first = await monitor.get("/api/hosts?limit=2")
    _, second = await monitor.get(f"/api/hosts?limit=2&after={first['next']}")
    assert [host["host"] for host in first["hosts"]] == ["a", "b"]
    assert [host["host"] for host in second["hosts"]] == ["c"]
    assert second["next"] is None
