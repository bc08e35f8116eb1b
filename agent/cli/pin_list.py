"""The pins and the pause that are in force, for people and as JSON."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.core import text, units
from agent.core.policy.overrides import Overrides, Pin


def active(found: Overrides, now: datetime) -> list[Pin]:
    """The pins that have not ended, in the order of the file."""
    return [pin for pin in found.pins if not pin.over(now)]


def document(found: Overrides, now: datetime, notes: Iterable[str]) -> dict[str, Any]:
    """`pins --json`."""
    pause = {"at": _time(found.paused_at), "until": _time(found.paused_until), "reason": found.pause_reason}
    return {
        "pins": [
            {
                "reference": pin.reference or None,
                "id": pin.id or None,
                "at": _time(pin.at),
                "until": _time(pin.until),
                "reason": pin.reason,
                "by": pin.by,
            }
            for pin in active(found, now)
        ],
        "paused": {**pause, "by": found.paused_by} if found.is_paused(now) else None,
        "notes": list(notes),
    }


def render(found: Overrides, now: datetime) -> RenderableType:
    """A row for each pin, and a sentence about the pause."""
    pause = [Text(_pause(found))] if found.is_paused(now) else []
    pins = active(found, now)
    if not pins:
        return Group(Text("nothing is pinned; `torchkeeper pin IMAGE` keeps an image"), *pause)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("UNTIL (UTC)", "BY"):
        table.add_column(column, no_wrap=True)
    table.add_column("IMAGE AND WHY", overflow="fold")
    for pin in pins:
        table.add_row(_until(pin), text.one_line(pin.by) or "-", _image(pin))
    return Group(table, *pause)


def _image(pin: Pin) -> Text:
    shown = Text(text.one_line(pin.reference) or f"ID {pin.id.removeprefix('sha256:')[:12]}")
    if pin.reason:
        shown.append(f"\n{text.one_line(pin.reason)}", style="dim")
    return shown


def _until(pin: Pin) -> str:
    return f"{pin.until:%Y-%m-%d %H:%M}" if pin.until else "unpinned"


def _pause(found: Overrides) -> str:
    until = f"until {units.format_time(found.paused_until)}" if found.paused_until else "until `torchkeeper resume`"
    by = f" by {found.paused_by}" if found.paused_by else ""
    why = f": {found.pause_reason}" if found.pause_reason else ""
    return text.one_line(f"evictions are paused{by} {until}{why}")


def _time(at: datetime | None) -> str | None:
    return units.format_time(at) if at is not None else None
