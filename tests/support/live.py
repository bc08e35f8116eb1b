"""Batches as the collector makes them, and a live fleet that is filled from them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from agent.core.protocol import payloads
from agent.fleet.collector.batch import (
    AlertChange,
    Batch,
    Change,
    Committed,
    DecisionChange,
    InfoChange,
    InventoryChange,
    Seen,
    StatusChange,
    StoredEvent,
)
from agent.fleet.live.live_fleet import LiveFleet
from agent.fleet.live.summary import summary_of
from tests.support.messages import make_info, make_inventory, make_status
from tests.support.times import START

BOOT = "b1f2"


def status(host: str = "gpu-07", *, at: datetime = START, retain: bool = False, **fields: Any) -> StatusChange:
    return StatusChange(host, make_status(at=at, **fields), at, retain)


def info(host: str = "gpu-07", *, at: datetime = START, **fields: Any) -> InfoChange:
    return InfoChange(host, make_info(host, at=at, **fields), at)


def inventory(
    *images: payloads.InventoryImage,
    host: str = "gpu-07",
    at: datetime = START,
    disk: payloads.Disk | None = None,
    decisions: tuple[payloads.LastDecision, ...] = (),
    left_out: int = 0,
) -> InventoryChange:
    made = make_inventory(*images, host=host, at=at, disk=disk, decisions=decisions, left_out=left_out)
    return InventoryChange(host, summary_of(made), made.encode(), b"", at)


def alert(
    alert_id: str = "disk",
    *,
    host: str = "gpu-07",
    severity: str = "warning",
    message: str = "nearly full",
    at: datetime = START,
) -> AlertChange:
    fields = {"id": alert_id, "severity": severity, "message": message, "since": at}
    return AlertChange(host, alert_id, payloads.Alert.model_validate(fields), at)


def no_alert(alert_id: str = "disk", *, host: str = "gpu-07", at: datetime = START) -> AlertChange:
    return AlertChange(host, alert_id, None, at)


def cleared(host: str = "gpu-07", *, at: datetime = START) -> list[Change]:
    """All topics of a host are empty."""
    return [StatusChange(host, None, at), InfoChange(host, None, at), InventoryChange(host, None, b"", b"", at)]


def seen(host: str = "gpu-07", *, at: datetime = START) -> Seen:
    return Seen(host, at)


def event(made: payloads.Event, host: str = "gpu-07") -> StoredEvent:
    return StoredEvent(host, made.data["epoch"], made.data["seq"], made, payloads.data_of(made))


def batch(*changes: Change, at: datetime = START, events: Iterable[payloads.Event] = (), host: str = "gpu-07") -> Batch:
    return Batch(at, list(changes), [event(made, host) for made in events])


def committed(*rows: int, host: str = "gpu-07", regrets: int = 0) -> Committed:
    decisions = tuple(DecisionChange(id=row, host=host, decision_id=f"d{row}") for row in rows)
    return Committed(decisions, {host: regrets} if regrets else {})


def fleet(*changes: Change, at: datetime = START) -> LiveFleet:
    """A fleet after one batch and one tick."""
    made = LiveFleet(BOOT)
    made.apply(batch(*changes, at=at), Committed())
    made.tick(at)
    return made
