"""/api/decisions."""

from tests.support.builders import make_digest, make_id
from tests.support.fleet_web import Monitor
from tests.support.times import DAY, HOUR, START


async def test_a_decision_has_its_outcome_and_the_command_that_brings_the_image_back(monitor: Monitor) -> None:
    origin = make_digest("teamai/a", "image")
    await monitor.history.image("image", origin=origin)
    await monitor.history.decision(
        outcome="removed",
        outcome_at=START + HOUR,
        measured=4_800_000_000,
        last_used=START - 15 * DAY,
        idle_seconds=15 * 86400.0,
        ttl_seconds=14 * 86400.0,
        evidence=["PYTORCH_VERSION"],
    )
    assert await monitor.get("/api/decisions") == (
        200,
        {
            "decisions": [
                {
                    "id": 1,
                    "host": "gpu-07",
                    "decision_id": "d1",
                    "at": "2026-03-01T12:00:00Z",
                    "image_id": make_id("image"),
                    "references": ["teamai/a:1"],
                    "reason": "idle-ttl",
                    "mode": "enforce",
                    "held_by": None,
                    "explanation": "idle 15 d, TTL 14 d",
                    "estimated_bytes": 5_000_000_000,
                    "outcome": "removed",
                    "outcome_at": "2026-03-01T13:00:00Z",
                    "measured_bytes": 4_800_000_000,
                    "error": None,
                    "also_removed": [],
                    "last_used": "2026-02-14T12:00:00Z",
                    "last_used_by": "",
                    "idle_seconds": 1296000.0,
                    "ttl_seconds": 1209600.0,
                    "evidence": ["PYTORCH_VERSION"],
                    "pull": f"docker pull {origin}",
                    "regret_at": None,
                }
            ],
            "next": None,
        },
    )
