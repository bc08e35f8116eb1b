"""What agents publish, with defaults, so that a test names only what it is about."""

from datetime import datetime
from typing import Any

from agent.adapters.broker import Message
from agent.core.protocol import payloads
from tests.support.times import START

BASE = "torchkeeper/v1/hosts"


def topic(rest: str, host: str = "gpu-07") -> str:
    return f"{BASE}/{host}/{rest}"


def as_message(rest: str, payload: bytes, host: str = "gpu-07", *, retain: bool = False) -> Message:
    """A message of a host, as its agent publishes it."""
    return Message(topic(rest, host), payload, retain)


def make_status(state: str = "online", session: int = 1, *, at: object = START, agent_id: str = "a") -> payloads.Status:
    return payloads.Status.model_validate({"state": state, "session": session, "at": at, "agent_id": agent_id})


def make_info(host: str = "gpu-07", *, version: str = "0.1.0", **fields: Any) -> payloads.Info:
    defaults: dict[str, Any] = {
        "host": host,
        "version": version,
        "engine": {},
        "agent_id": "a",
        "epoch": "e",
        "mode": "enforce",
        "paused": None,
        "policy": {},
        "started": START,
        "at": START,
    }
    return payloads.Info.model_validate(defaults | fields)


def make_inventory_image(
    image_id: str = "sha256:" + "1" * 64, reference: str = "teamai/a:1", **fields: Any
) -> payloads.InventoryImage:
    defaults: dict[str, Any] = {
        "id": image_id,
        "references": [reference] if reference else [],
        "action": "keep",
        "reason": "recent",
        "explanation": "",
        "class": "pytorch",
        "torch_version": "2.9.0",
        "accelerator": "cuda12.8",
        "last_used": None,
        "idle_since": None,
        "deadline": None,
        "size_bytes": 9_000_000_000,
        "estimated_bytes": 0,
    }
    return payloads.InventoryImage.model_validate(defaults | fields)


def make_inventory(
    *images: payloads.InventoryImage,
    host: str = "gpu-07",
    at: datetime = START,
    disk: payloads.Disk | None = None,
    left_out: int = 0,
    decisions: tuple[payloads.LastDecision, ...] = (),
) -> payloads.Inventory:
    return payloads.Inventory(
        host=host,
        at=at,
        disk=disk or payloads.Disk(),
        totals={},
        images=list(images),
        images_left_out=left_out,
        decisions=list(decisions),
    )


def make_last_decision(decision_id: str = "d1", at: datetime = START, **fields: Any) -> payloads.LastDecision:
    defaults: dict[str, Any] = {
        "decision_id": decision_id,
        "at": at,
        "image_id": "sha256:" + "1" * 64,
        "references": ["teamai/a:1"],
        "reason": "idle-ttl",
        "mode": "enforce",
        "explanation": "idle 15 d, TTL 14 d",
        "estimated_bytes": 4_800_000_000,
    }
    return payloads.LastDecision.model_validate(defaults | fields)


def make_decision(
    seq: int = 1, decision_id: str = "d1", at: datetime = START, host: str = "gpu-07", **fields: Any
) -> payloads.Event:
    data = payloads.DecisionData.model_validate(
        {
            "decision_id": decision_id,
            "action": "evict",
            "reason": "idle-ttl",
            "mode": "enforce",
            "explanation": "idle 15 d, TTL 14 d",
            "image": make_image_ref(),
            "last_used": None,
            "idle_seconds": 0.0,
            "ttl_seconds": 0.0,
            "estimated_bytes": 4_800_000_000,
            "evidence": [],
        }
        | fields
    )
    return _event(seq, at, host, data)


def make_outcome(
    seq: int = 2, decision_id: str = "d1", at: datetime = START, host: str = "gpu-07", **fields: Any
) -> payloads.Event:
    data = payloads.OutcomeData.model_validate(
        {
            "decision_id": decision_id,
            "outcome": "removed",
            "image": make_image_ref(),
            "measured_bytes": 5_000_000_000,
            "error": None,
        }
        | fields
    )
    return _event(seq, at, host, data)


def make_image_ref() -> payloads.ImageRef:
    return payloads.ImageRef(id="sha256:" + "1" * 64, references=["teamai/a:1"], size_bytes=9_000_000_000)


def make_alert(alert_id: str = "disk", message: str = "nearly full") -> payloads.Alert:
    return payloads.Alert(id=alert_id, severity="warning", message=message, since=START)


def _event(seq: int, at: datetime, host: str, data: payloads.EventData) -> payloads.Event:
    return payloads.event(
        host=host, epoch="e", seq=seq, kind=data.type, at=at, subject=None, data=data.model_dump(mode="json")
    )
