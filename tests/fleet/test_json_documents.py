"""What the commands of `torchkeeper fleet` print with --json."""

from datetime import timedelta

from agent.core.protocol import payloads
from agent.fleet import json_documents
from agent.fleet.web import documents
from tests.fleet.test_view import fold
from tests.support.messages import (
    make_alert,
    make_decision,
    make_info,
    make_inventory,
    make_inventory_image,
    make_last_decision,
    make_outcome,
    make_status,
)
from tests.support.times import HOUR, START


def test_the_status_document_has_the_fixed_shape() -> None:
    disk = payloads.Disk(total_bytes=100, used_bytes=70, images_bytes=60, reclaimable_bytes=30)
    due = make_inventory_image("sha256:2", deadline=START + HOUR)
    removed = make_last_decision(outcome="removed", measured_bytes=5)
    fleet = fold(
        ("status", make_status().encode()),
        ("info", make_info(policy={"pressure": {"high": 0.9}}).encode()),
        (
            "inventory",
            make_inventory(make_inventory_image(), due, disk=disk, left_out=3, decisions=(removed,)).encode(),
        ),
        ("alerts/disk", make_alert().encode()),
    )
    assert json_documents.status(fleet, START) == {
        "hosts": [
            {
                "host": "gpu-07",
                "state": "online",
                "mode": "enforce",
                "paused": False,
                "version": "0.1.0",
                "last_seen": "2026-03-01T12:00:00Z",
                "images": 5,
                "images_left_out": 3,
                "disk_used_bytes": 70,
                "disk_total_bytes": 100,
                "high": 0.9,
                "reclaimable_bytes": 30,
                "next_eviction": "2026-03-01T13:00:00Z",
                "last_decision": {"at": "2026-03-01T12:00:00Z", "outcome": "removed"},
                "freed_24h_bytes": 5,
                "alerts": [
                    {"id": "disk", "severity": "warning", "message": "nearly full", "since": "2026-03-01T12:00:00Z"}
                ],
            }
        ]
    }


def test_a_host_that_only_has_a_status_is_shown_with_nothing_made_up() -> None:
    (host,) = json_documents.status(fold(("status", make_status().encode())), START)["hosts"]
    known = {key: value for key, value in host.items() if value is not None}
    assert known == {
        "host": "gpu-07",
        "state": "online",
        "last_seen": "2026-03-01T12:00:00Z",
        "images_left_out": 0,
        "freed_24h_bytes": 0,
        "alerts": [],
    }


def test_a_host_that_is_paused_is_shown_so_until_the_pause_ends() -> None:
    paused = make_info(paused=payloads.Pause(until=START + HOUR, reason="")).encode()
    for at, expected in ((START, True), (START + HOUR, False)):
        (host,) = json_documents.status(fold(("info", paused), at=at), at)["hosts"]
        assert host["paused"] is expected


def test_the_other_documents_name_their_host() -> None:
    fleet = fold(
        ("inventory", make_inventory(make_inventory_image(idle_since=START), left_out=2).encode()),
        ("events", make_decision().encode()),
        ("events", make_outcome().encode()),
    )
    images = json_documents.images(fleet, START + timedelta(days=3))
    assert images["images_left_out"] == 2
    names = ("host", "class", "references", "explanation")
    assert [tuple(image[name] for name in names) for image in images["images"]] == [
        ("gpu-07", "pytorch", ["teamai/a:1"], "idle 3 d")
    ]
    assert json_documents.decisions(fleet.decisions()) == {
        "decisions": [
            {
                "host": "gpu-07",
                "decision_id": "d1",
                "at": "2026-03-01T12:00:00Z",
                "image_id": "sha256:" + "1" * 64,
                "references": ["teamai/a:1"],
                "reason": "idle-ttl",
                "mode": "enforce",
                "explanation": "idle 15 d, TTL 14 d",
                "estimated_bytes": 4_800_000_000,
                "outcome": "removed",
                "measured_bytes": 5_000_000_000,
                "error": None,
            }
        ]
    }


def test_the_fields_of_a_host_are_those_of_the_api_of_the_monitor() -> None:
    (host,) = json_documents.status(fold(("status", make_status().encode())), START)["hosts"]
    assert set(host) == set(documents.Host.model_fields) - {"regrets_30d"}  # which only the monitor knows
