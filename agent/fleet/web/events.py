"""Encodes server-sent events. All data is JSON in ASCII on one line, so that no name can end an event."""

import json
from datetime import UTC, datetime

from agent.core import units
from agent.fleet.live.position import Position
from agent.fleet.live.row import StandingAlert

_LAST_MS = 253_402_300_799_999  # the end of the year 9999, which is the last that a datetime can have


def event(name: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), data)


def with_id(events: list[bytes], position: Position) -> bytes:
    """The events with the position at the last one: a client that got only some of them goes on before all of them."""
    last = events.pop() if events else b"\n"
    return b"".join(events) + b"id: %b\n" % str(position).encode("ascii") + last


def as_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def alert_fields(alert: StandingAlert) -> dict[str, str]:
    return {
        "host": alert.host,
        "id": alert.id,
        "severity": alert.severity,
        "message": alert.message,
        "since": time_text(alert.since),
    }


def ended_fields(key: tuple[str, str], until: int) -> dict[str, str]:
    host, alert_id = key
    return {"host": host, "id": alert_id, "until": time_text(until)}


def time_text(at: int) -> str:
    """Milliseconds since 1970 as RFC 3339."""
    return units.format_time(datetime.fromtimestamp(min(max(at, 0), _LAST_MS) / 1000, UTC))
