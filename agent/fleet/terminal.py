"""Shows decisions and images of the fleet in tables that fit 80 columns, and redraws them. See also `status_view`.

Names come from outside and are made safe to print.
"""

import asyncio
import io
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agent.adapters.clock import Clock
from agent.core import units
from agent.core.model import Class
from agent.core.policy.decision import Action, Reason
from agent.core.protocol import payloads
from agent.fleet.feed import Feed
from agent.fleet.live.summary import next_eviction
from agent.fleet.shown import ago, largest, sanitize
from agent.fleet.view import DecisionLine, FleetView

REFRESH = 1.0  # seconds
PATIENCE = 9  # times as long as a screen takes: ten thousand hosts then take a tenth of a core
FOOT = 1  # lines at the bottom of the screen
WIDTH = 80  # columns, if the output is not a terminal
_OUTCOME_STYLE = {"removed": "green", "refused": "yellow", "failed": "red", "would-remove": "cyan"}

T = TypeVar("T")
Render = Callable[[FleetView, int], RenderableType]  # with the number of lines that it may have

NO_DECISIONS = "No decision yet: no image has been due. `torchkeeper fleet images` shows when each one is due."
NO_IMAGES = "No PyTorch image on any host that reports. `torchkeeper fleet status` shows which hosts do."


def make_console() -> Console:
    """Standard output; plain and 80 columns wide if it is not a terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # without UTF-8 it shows `?` instead of raising an error
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def decisions_view(lines: list[DecisionLine], now: datetime, height: int | None = None) -> RenderableType:
    """The decisions as a table, in the given order; a sentence if there are none.

    `height`: the lines to fit it into; None: as many as it needs.
    """
    if not lines:
        return Text(NO_DECISIONS)
    shown = _fitting(lines, height)
    return Group(decisions_table(shown, now), *_more(len(lines) - len(shown), "older decisions"))


def decisions_table(lines: list[DecisionLine], now: datetime) -> Table:
    table = _table(("WHEN", "right", None), ("HOST", "left", 1), ("IMAGE", "left", 2), ("REASON", "left", None))
    table.add_column("OUTCOME", no_wrap=True)
    table.add_column("BYTES", justify="right", no_wrap=True)
    for line in lines:
        decision, outcome = line.decision, line.decision.outcome or "pending"
        table.add_row(
            _ago(decision.at, now),
            sanitize(line.host),
            _image_name(decision.references, decision.image_id),
            sanitize(decision.reason) or "-",
            f"[{_OUTCOME_STYLE.get(outcome, 'yellow')}]{sanitize(outcome)}[/]",
            _bytes_of(decision),
        )
    return table


def images_view(view: FleetView, now: datetime, height: int | None = None) -> RenderableType:
    """The PyTorch images of the fleet, each once, with the number of its hosts; a sentence if there are none.

    Those that are due come first, then those with the earliest deadline. `height`: as for decisions.
    """
    copies: dict[str, list[payloads.InventoryImage]] = {}
    others = 0
    for host in view.hosts():
        for image in host.inventory.images if host.inventory else ():
            if image.kind == Class.OTHER:
                others += 1
            else:
                copies.setdefault(image.id, []).append(image)
    if not copies:
        return Text(NO_IMAGES)
    left_out = [Text(f"Not shown, as they are not PyTorch: {others}. --json has them.")] if others else []
    ranked = sorted(copies.values(), key=_urgency)
    shown = _fitting(ranked, None if height is None else height - len(left_out))
    return Group(images_table(shown, now), *_more(len(ranked) - len(shown), "more images"), *left_out)


def images_table(images: list[list[payloads.InventoryImage]], now: datetime) -> Table:
    """One row for each image in the given order, with the copies of each on all hosts."""
    table = _table(("IMAGE", "left", 1), ("TORCH", "left", None), ("HOSTS", "right", None))
    for name in ("SIZE", "LAST USED", "NEXT"):
        table.add_column(name, justify="right", no_wrap=True)
    for copies in images:
        first = copies[0]
        table.add_row(
            _image_name(first.references, first.id),
            sanitize(first.torch_version or "-"),
            str(len(copies)),
            units.format_bytes(first.size_bytes),
            _last_used(copies, now),
            _next(copies, now),
        )
    return table


async def watch(feed: Feed, render: Render, console: Console, clock: Clock) -> None:
    """Redraw the fleet, a large one less often, endlessly. Raises errors of the feed's first connection."""
    feeding = asyncio.create_task(feed.run(), name="fleet-feed")
    try:
        with Live(Text("Waiting for the broker ..."), console=console, screen=True, auto_refresh=False) as live:
            while not feeding.done():
                began = clock.monotonic()
                if feed.view is not None:
                    content = render(feed.view, console.height - FOOT)
                    live.update(Group(content, _foot(feed, clock.now())), refresh=True)
                await clock.sleep(max(REFRESH, PATIENCE * (clock.monotonic() - began)))
        await feeding
    finally:
        feeding.cancel()


def _foot(feed: Feed, now: datetime) -> Text:
    """The last line of the screen."""
    state = f"[yellow]Not up to date: {sanitize(feed.error)}[/]" if feed.error else "Ctrl-C ends."
    foot = Text.from_markup(f"{now:%H:%M:%S} UTC  {state}", overflow="ellipsis")
    foot.no_wrap = True
    return foot


def _fitting(rows: Sequence[T], height: int | None) -> list[T]:
    """The rows that fit below the head of a table, with a line for the number of the others."""
    if height is None or len(rows) < height:
        return list(rows)
    return list(rows[: max(1, height - 2)])


def _more(count: int, what: str) -> list[Text]:
    return [Text(f"and {count:,} {what}", style="bold")] if count else []


def _urgency(copies: Sequence[payloads.InventoryImage]) -> tuple[object, ...]:
    """Sorts images that are due on any host first, then by the earliest deadline, then by name."""
    is_due = any(image.action == Action.EVICT for image in copies)
    soonest = next_eviction(copies)
    return not is_due, float("inf") if soonest is None else soonest, copies[0].references, copies[0].id


def _table(*columns: tuple[str, str, int | None]) -> Table:
    """A table as wide as the console; columns with a ratio share the remaining width, and longer text is cut."""
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold")
    for name, justify, ratio in columns:
        table.add_column(
            name, justify="right" if justify == "right" else "left", ratio=ratio, no_wrap=True, overflow="ellipsis"
        )
    return table


def _image_name(references: Sequence[str], image_id: str) -> str:
    """The first name, with the number of others; the short ID for an untagged image."""
    if not references:
        return sanitize(image_id.removeprefix("sha256:")[:12])
    more = f" +{len(references) - 1}" if len(references) > 1 else ""
    return sanitize(references[0]) + more


def _bytes_of(decision: payloads.LastDecision) -> str:
    """The measured bytes, else the estimate with a tilde."""
    if decision.measured_bytes is not None:
        return units.format_bytes(decision.measured_bytes)
    return f"~{units.format_bytes(decision.estimated_bytes)}"


def _ago(at: datetime | None, now: datetime) -> str:
    return ago(at, now) if at is not None else "never"


def _last_used(copies: list[payloads.InventoryImage], now: datetime) -> str:
    if any(image.running for image in copies):
        return "now"
    return _ago(max((image.last_used for image in copies if image.last_used is not None), default=None), now)


def _next(copies: list[payloads.InventoryImage], now: datetime) -> str:
    """What happens next to an image on any host: its eviction, its deadline, else why it is kept."""
    due = [image for image in copies if image.action == Action.EVICT]
    if due:
        held = {image.held_by for image in due}
        return "due" if None in held else sanitize(f"due ({', '.join(sorted(filter(None, held)))})")
    deadlines = [image.deadline for image in copies if _is_pending(image) and image.deadline is not None]
    if deadlines:
        return "in " + largest(min(deadlines) - now)
    reasons = {image.reason for image in copies}
    return sanitize(reasons.pop()) if len(reasons) == 1 else "kept"


def _is_pending(image: payloads.InventoryImage) -> bool:
    reason = Reason.of(image.reason)
    return reason is not None and reason.pending
