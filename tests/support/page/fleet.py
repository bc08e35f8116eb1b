"""What the fake monitor knows: hosts, images, decisions and alerts, built with defaults."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.fleet.live.row import HostRow
from agent.fleet.web import documents
from tests.support.builders import GB, make_id

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TB = 1000 * GB
DISK_FULL = "disk-full-nothing-evictable"
POLICY: dict[str, Any] = {
    "images": {"include": [], "exclude": ["*/prod/*"], "ambiguous": "keep"},
    "policy": {"ttl": "14d", "min_age": "1h", "protect": ["*:latest", "*:stable"], "keep_newest": 0, "rules": []},
    "pressure": {"high": 0.85, "low": 0.75, "budget": None},
    "schedule": {"windows": [], "timezone": "UTC"},
}


def now() -> datetime:
    """Whole seconds, as the page counts from the clock of the machine."""
    return datetime.now(UTC).replace(microsecond=0)


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@dataclass
class Fleet:
    """What the fake monitor knows."""

    hosts: dict[str, HostRow] = field(default_factory=dict)
    images: dict[str, list[documents.HostImage]] = field(default_factory=dict)  # by host
    decisions: list[documents.Decision] = field(default_factory=list)  # oldest first
    alerts: list[documents.Alert] = field(default_factory=list)  # those that ended, too
    blocked: list[documents.Blocked] = field(default_factory=list)
    missing: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    events: list[documents.HistoryEvent] = field(default_factory=list)
    incomplete_hosts: int = 0


def make_row(host: str, **values: Any) -> HostRow:
    at = now()
    usual: dict[str, Any] = {
        "state": "online",
        "mode": "enforce",
        "paused": False,
        "version": "0.1.0",
        "last_seen": ms(at),
        "images": 12,
        "disk_used_bytes": 5 * TB,
        "disk_total_bytes": 10 * TB,
        "high": 0.85,
        "reclaimable_bytes": 0,
        "next_eviction": ms(at + 5 * DAY),
    }
    return HostRow(host=host, **(usual | values))


def make_image(name: str = "teamai/pytorch:2.7-cuda11.8", *more: str, **values: Any) -> documents.HostImage:
    at = now()
    usual: dict[str, Any] = {
        "id": make_id(name),
        "references": [name, *more],
        "action": "keep",
        "reason": "recent",
        "class": "pytorch",
        "explanation": "idle 3 d, TTL 14 d; due in 11 d",
        "torch_version": "2.7.0",
        "accelerator": "cuda11.8",
        "last_used": at - 3 * DAY,
        "last_used_by": "train-3",
        "idle_since": at - 3 * DAY,
        "deadline": at + 11 * DAY,
        "size_bytes": int(9.5 * GB),
        "estimated_bytes": int(4.9 * GB),
        "elsewhere": 0,
    }
    return documents.HostImage(**(usual | values))


def make_decision(
    number: int = 1, host: str = "gpu-00-00", name: str = "teamai/pytorch:2.7-cuda11.8", **values: Any
) -> documents.Decision:
    at = now()
    usual: dict[str, Any] = {
        "id": number,
        "host": host,
        "decision_id": f"d-{number}",
        "at": at - MINUTE,
        "image_id": make_id(name),
        "references": [name],
        "reason": "idle-ttl",
        "mode": "enforce",
        "held_by": None,
        "explanation": "idle 15 d 3 h, TTL 14 d; frees about 4.9 GB",
        "estimated_bytes": int(4.9 * GB),
        "outcome": "removed",
        "outcome_at": at,
        "measured_bytes": int(4.8 * GB),
        "error": None,
        "also_removed": [],
        "last_used": at - 15 * DAY,
        "last_used_by": "train-3",
        "idle_seconds": 15.125 * 86400,
        "ttl_seconds": 14 * 86400.0,
        "evidence": ["PYTORCH_VERSION=2.7.0 in the environment"],
        "pull": f"docker pull {name.split(':', maxsplit=1)[0]}@{make_id('digest of ' + name)}",
        "regret_at": None,
    }
    return documents.Decision(**(usual | values))


def make_alert(host: str = "gpu-00-00", alert_id: str = "outbox-behind", **values: Any) -> documents.Alert:
    usual: dict[str, Any] = {
        "severity": "warning",
        "message": "412 events wait for the broker",
        "since": now() - 2 * HOUR,
    }
    return documents.Alert(host=host, id=alert_id, **(usual | values))


def block(fleet: Fleet, host: str) -> None:
    """Fill the disk of a host while nothing may be evicted."""
    since = now() - 40 * MINUTE
    row = make_row(
        host, disk_used_bytes=int(0.993 * 10 * TB), images=29, next_eviction=ms(now() + 5 * DAY), criticals=1
    )
    held = [
        documents.Held(
            reason="in-use",
            words="are in use",
            images=9,
            bytes=412 * GB,
            way_out="containers hold them; stopped ones, too: `docker ps -a --filter status=exited`",
        ),
        documents.Held(
            reason="local-only",
            words="exist nowhere else that we know",
            images=14,
            bytes=288 * GB,
            way_out='push them to a registry, or set `local_images = "evict"` for a rule',
        ),
        documents.Held(
            reason="protected-tag",
            words="have a protected tag",
            images=6,
            bytes=97 * GB,
            way_out="change `policy.protect`",
        ),
    ]
    message = (
        "the disk is 99 % full (high 85 %), and nothing may be evicted now: "
        "in-use 412 GB, local-only 288 GB, protected-tag 97.0 GB"
    )
    fleet.hosts[host] = row
    fleet.alerts.append(make_alert(host, DISK_FULL, severity="critical", message=message, since=since))
    fleet.blocked.append(documents.Blocked(host=host, message=message, since=since, held=held))
