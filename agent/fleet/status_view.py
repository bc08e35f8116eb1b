"""`torchkeeper fleet status` for people: the alerts, the hosts from the worst to the best, and the figures of all."""

from collections import Counter
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from agent.core import units
from agent.core.protocol import payloads
from agent.fleet import totals
from agent.fleet.host_table import HostTable
from agent.fleet.shown import clean, largest
from agent.fleet.totals import FleetTotals
from agent.fleet.view import FleetView

NO_HOSTS = (
    "No host has reported yet. Set mqtt.url in each agent's configuration to this broker, and mqtt.prefix to the\n"
    "same value here and there; `torchkeeper check` on a host shows whether it reaches the broker. A user of the\n"
    "broker that may not read the fleet sees nothing, either: it needs `topic read <mqtt.prefix>/v1/hosts/#`."
)
VERSIONS_SHOWN = 4
ALERT_SHARE = 0.5  # of the screen, at most

Alert = tuple[str, payloads.Alert]  # with its host


def status_view(view: FleetView, now: datetime, height: int | None = None) -> RenderableType:
    """The whole fleet; a sentence if there is no host.

    `height`: the lines to fit it into; None: as many as it needs.
    """
    hosts = view.hosts()
    if not hosts:
        return Text(NO_HOSTS)
    rows = sorted((host.row_at(now) for host in hosts), key=totals.badness)
    alerts = [(host.name, alert) for host in hosts for alert in host.alerts.values()]
    alerts.sort(key=lambda item: (item[1].severity != "critical", item[1].since, item[0], item[1].id))
    lines = [alert_line(host, alert, now) for host, alert in alerts]
    summary = total_text(totals.total(rows))
    if height is None:
        return Group(*lines, HostTable(rows, now), summary)
    return _Fitted(lines, HostTable(rows, now), summary, height)


class _Fitted:
    """The same, cut to a number of lines: each part says how much of it is not shown."""

    def __init__(self, alerts: list[Text], table: HostTable, summary: Text, height: int) -> None:
        self._alerts = alerts
        self._table = table
        self._summary = summary
        self._height = height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        left = self._height - len(self._summary.wrap(console, options.max_width))
        yield self._summary
        shown = self._fitting_alerts(console, options.max_width, int(left * ALERT_SHARE))
        for lines in shown:
            left -= len(lines)
            yield from lines
        if len(shown) < len(self._alerts):
            left -= 1
            yield Text(f"and {len(self._alerts) - len(shown):,} more alerts", style="bold")
        yield self._table.fitting(left)

    def _fitting_alerts(self, console: Console, width: int, most: int) -> list[list[Text]]:
        """The first alerts, wrapped; the first one even if it alone is too long, cut off."""
        shown: list[list[Text]] = []
        for alert in self._alerts:
            lines = list(alert.wrap(console, width))
            room = most - sum(map(len, shown)) - (len(shown) + 1 < len(self._alerts))
            if len(lines) > room and shown:
                break
            shown.append(lines[: max(1, room)])
        return shown


def alert_line(host: str, alert: payloads.Alert, now: datetime) -> Text:
    """An alert with its host and the time for which it has stood."""
    style = "red" if alert.severity == "critical" else "yellow"
    return Text.assemble(
        (alert.severity, style), f" {clean(host)}, for {largest(now - alert.since)}: {clean(alert.message)}"
    )


def total_text(figures: FleetTotals) -> Text:
    """The figures of the fleet in two or three lines."""
    states = ", ".join(f"{figures.states[state]:,} {state}" for state in totals.STATES if figures.states[state])
    disk = f"{_bytes(figures.disk_used_bytes)} of {_bytes(figures.disk_total_bytes)} used"
    without = f" (without {figures.states['offline']:,} offline)" if figures.states["offline"] else ""
    return Text.assemble(
        (f"{figures.hosts:,} host{'' if figures.hosts == 1 else 's'}", "bold"),
        f": {states}; {_alerts(figures)}\n",
        f"{disk}, {_bytes(figures.reclaimable_bytes)} reclaimable, {_bytes(figures.freed_24h_bytes)} freed in 24 h, "
        f"{figures.images:,} images{without}\n",
        f"{_counts(figures.modes) or 'mode unknown'}, {figures.paused:,} paused; {_versions(figures.versions)}",
    )


def _alerts(figures: FleetTotals) -> str:
    count = figures.warnings + figures.criticals
    critical = f" ({figures.criticals:,} critical)" if figures.criticals else ""
    return f"{count:,} alert{'' if count == 1 else 's'}{critical}" if count else "no alert"


def _versions(versions: Counter[str]) -> str:
    if not versions:
        return "version unknown"
    shown = ", ".join(f"{clean(name)} ({count:,})" for name, count in versions.most_common(VERSIONS_SHOWN))
    more = f" and {len(versions) - VERSIONS_SHOWN} more" if len(versions) > VERSIONS_SHOWN else ""
    return f"torchkeeper {shown}{more}"


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))


_bytes = units.format_bytes
