"""The documents that the commands of `torchkeeper fleet` print with --json. A figure that is not known is null."""

from datetime import UTC, datetime
from typing import Any

from agent.core import units
from agent.core.protocol import sentence
from agent.fleet.view import DecisionLine, FleetView, Host


def status(view: FleetView, now: datetime) -> dict[str, Any]:
    """The JSON of `fleet status --json`."""
    return {"hosts": [_host(host, now) for host in view.hosts()]}


def decisions(lines: list[DecisionLine]) -> dict[str, Any]:
    """The JSON of `fleet decisions --json`."""
    return {"decisions": [{"host": line.host, **line.decision.model_dump(mode="json")} for line in lines]}


def images(view: FleetView, now: datetime) -> dict[str, Any]:
    """The JSON of `fleet images --json`: all images of all inventories, each with its host and an explanation."""
    return {
        "images": [
            {
                "host": host.name,
                **image.model_dump(mode="json", by_alias=True),
                "explanation": sentence.why(image, now),
            }
            for host in view.hosts()
            for image in (host.inventory.images if host.inventory else ())
        ],
        "images_left_out": sum(host.summary.images_left_out for host in view.hosts()),
    }


def _host(host: Host, now: datetime) -> dict[str, Any]:
    row = host.row_at(now)
    decided = {"at": _time(row.last_decision_at), "outcome": row.last_outcome} if row.last_decision_at else None
    return {
        "host": row.host,
        "state": row.state,
        "mode": row.mode,
        "paused": row.paused,
        "version": row.version,
        "last_seen": _time(row.last_seen),
        "images": row.images,
        "images_left_out": row.images_left_out,
        "disk_used_bytes": row.disk_used_bytes,
        "disk_total_bytes": row.disk_total_bytes,
        "high": row.high,
        "reclaimable_bytes": row.reclaimable_bytes,
        "next_eviction": _time(row.next_eviction),
        "last_decision": decided,
        "freed_24h_bytes": row.freed_24h_bytes,
        "alerts": [alert.model_dump(mode="json") for _, alert in sorted(host.alerts.items())],
    }


def _time(at: int | None) -> str | None:
    return None if at is None else units.format_time(datetime.fromtimestamp(at / 1000, UTC))
