"""Shows the fleet in tables that fit 80 columns. Names in them come from outside and are made safe to print."""

import asyncio
import io
import sys
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from agent.adapters.clock import Clock
from agent.core import units
from agent.core.model import Class
from agent.core.policy.decision import Action, Reason
from agent.core.protocol import payloads
from agent.fleet.feed import Feed
from agent.fleet.view import DecisionLine, FleetView, Host

REFRESH = 1.0  # seconds
WIDTH = 80  # columns, if the output is not a terminal
_STATE_STYLE = {"online": "green", "stale": "yellow", "offline": "red", "unknown": "yellow"}
_OUTCOME_STYLE = {"removed": "green", "refused": "yellow", "failed": "red", "would-remove": "cyan"}

# Controls, formats (some reverse the direction of text), surrogates, private use, unassigned, and line separators.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

NO_HOSTS = (
    "No host has reported yet. Set mqtt.url in each agent's configuration to this broker, and mqtt.prefix to the\n"
    "same value here and there; `torchkeeper check` on a host shows whether it reaches the broker."
)
NO_DECISIONS = "No decision yet: no image has been due. `torchkeeper fleet images` shows when each one is due."
NO_IMAGES = "No PyTorch image on any host that reports. `torchkeeper fleet status` shows which hosts do."


def make_console() -> Console:
    """Standard output; plain and 80 columns wide if it is not a terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # without UTF-8 it shows `?` instead of raising an error
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def sanitize(text: str) -> str:
    """Make text from outside safe to print: control characters replaced, markup escaped."""
    visible = ("?" if unicodedata.category(char) in _UNPRINTABLE else char for char in text)
    return escape("".join(visible))


def status_view(view: FleetView, now: datetime) -> RenderableType:
    """The hosts as a table, with their alerts below; a sentence if there are none."""
    hosts = view.hosts()
    if not hosts:
        return Text(NO_HOSTS)
    alerts = [(host, alert) for host in hosts for _, alert in sorted(host.alerts.items())]
    return Group(status_table(hosts, now), *(_alert_line(host, alert) for host, alert in alerts))


def status_table(hosts: list[Host], now: datetime) -> Table:
    table = _table(("HOST", "left", 1), ("STATE", "left", None), ("SEEN", "right", None))
    for name in ("IMAGES", "DISK USED", "RECLAIMABLE", "ALERTS"):
        table.add_column(name, justify="right", no_wrap=True)
    for host in hosts:
        state = host.state(now)
        table.add_row(
            sanitize(host.name),
            f"[{_STATE_STYLE[state]}]{state}[/]",
            _ago(host.last_seen, now),
            str(host.images) if host.inventory else "-",
            _disk(host.inventory),
            units.format_bytes(host.inventory.disk.reclaimable_bytes) if host.inventory else "-",
            f"[red]{len(host.alerts)}[/]" if host.alerts else "0",
        )
    return table


def decisions_view(lines: list[DecisionLine], now: datetime) -> RenderableType:
    """The decisions as a table, in the given order; a sentence if there are none."""
    return decisions_table(lines, now) if lines else Text(NO_DECISIONS)


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


def images_view(view: FleetView, now: datetime) -> RenderableType:
    """The PyTorch images of the fleet, each once, with the number of its hosts; a sentence if there are none."""
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
    left_out = Text(f"Not shown, as they are not PyTorch: {others}. --json has them.") if others else Text("")
    return Group(images_table(list(copies.values()), now), left_out)


def images_table(images: list[list[payloads.InventoryImage]], now: datetime) -> Table:
    """One row for each image, given the copies of each on all hosts."""
    table = _table(("IMAGE", "left", 1), ("TORCH", "left", None), ("HOSTS", "right", None))
    for name in ("SIZE", "LAST USED", "NEXT"):
        table.add_column(name, justify="right", no_wrap=True)
    for copies in sorted(images, key=lambda copies: (copies[0].references, copies[0].id)):
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


async def watch(feed: Feed, render: Callable[[FleetView], RenderableType], console: Console, clock: Clock) -> None:
    """Redraw the fleet every second, endlessly. Raises any error of the feed's first connection."""
    feeding = asyncio.create_task(feed.run(), name="fleet-feed")
    try:
        with Live(Text("Waiting for the broker ..."), console=console, screen=True, auto_refresh=False) as live:
            while not feeding.done():
                if feed.view is not None:
                    live.update(_frame(feed, feed.view, render, clock.now()), refresh=True)
                await clock.sleep(REFRESH)
        await feeding
    finally:
        feeding.cancel()


def _frame(feed: Feed, view: FleetView, render: Callable[[FleetView], RenderableType], now: datetime) -> RenderableType:
    foot = f"[yellow]Not up to date: {sanitize(feed.error)}[/]" if feed.error else "Ctrl-C ends."
    return Group(render(view), Text.from_markup(f"{now:%H:%M:%S} UTC  {foot}"))


def _table(*columns: tuple[str, str, int | None]) -> Table:
    """A table as wide as the console; columns with a ratio share the remaining width, and longer text is cut."""
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold")
    for name, justify, ratio in columns:
        table.add_column(
            name, justify="right" if justify == "right" else "left", ratio=ratio, no_wrap=True, overflow="ellipsis"
        )
    return table


def _alert_line(host: Host, alert: payloads.Alert) -> Text:
    style = "red" if alert.severity == "critical" else "yellow"
    return Text.from_markup(f"[{style}]{alert.severity}[/] {sanitize(host.name)}: {sanitize(alert.message)}")


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


def _disk(inventory: payloads.Inventory | None) -> str:
    disk = inventory.disk if inventory else payloads.Disk()
    if disk.used_bytes is None or not disk.total_bytes:
        return "-"
    return f"{units.format_bytes(disk.used_bytes)} ({100 * disk.used_bytes / disk.total_bytes:.0f} %)"


def _ago(at: datetime | None, now: datetime) -> str:
    return _largest(now - at) + " ago" if at is not None else "never"


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
        return "in " + _largest(min(deadlines) - now)
    reasons = {image.reason for image in copies}
    return sanitize(reasons.pop()) if len(reasons) == 1 else "kept"


def _is_pending(image: payloads.InventoryImage) -> bool:
    reason = Reason.of(image.reason)
    return reason is not None and reason.pending


def _largest(span: timedelta) -> str:
    """A time span in its largest unit only, like `3 d`; `0 s` for a negative span, from a clock that is ahead."""
    seconds = max(0, int(span.total_seconds()))
    return " ".join(units.format_duration(timedelta(seconds=seconds)).split()[:2])
