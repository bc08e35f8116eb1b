"""The figures above the list of hosts."""

from typing import Any

from agent.core.protocol.alerts import AlertId
from agent.fleet.history import times
from agent.fleet.history.queries import overview as queries
from agent.fleet.history.reading import read
from agent.fleet.live.row import HostRow, StandingAlert
from agent.fleet.web import documents, host_documents
from agent.fleet.web.routing import Asked, Route
from agent.fleet.web.services import Services

MOST_BLOCKED = 50  # hosts whose bytes are listed; the alerts count all


async def overview(asked: Asked[Any]) -> documents.Overview:
    live, now = asked.services.live, asked.now
    sums, blocked = live.totals(), _blocked(live.rows(), live.alerts())
    figures = await read(
        asked.services.database,
        lambda connection: queries.figures(connection, [alert.host for alert in blocked], now),
    )
    return documents.Overview(
        at=now,
        hosts=sums.hosts,
        observing=sums.observing,
        paused=sums.paused,
        reclaimed=figures.reclaimed,
        reclaimable_bytes=sums.reclaimable_bytes,
        reclaimable_hosts=sums.reclaimable_hosts,
        over_high=sums.over_high,
        high=host_documents.high(sums),
        alerts=sums.alerts,
        critical_alerts=sums.critical_by_id,
        blocked=[_document(alert, figures.held[alert.host]) for alert in blocked],
        decisions=figures.decisions,
        missing_events=figures.missing_events,
        dropped_events=figures.dropped_events,
        monitor=_monitor(asked.services),
    )


def _monitor(services: Services) -> documents.Monitor:
    health = services.health()
    return documents.Monitor(
        broker=health.broker,
        broker_url=services.mqtt_name,
        prefix=services.mqtt_prefix,
        collector=services.collector,
        behind_events=health.behind_events,
        last_commit=health.last_commit,
    )


def _blocked(rows: list[HostRow], alerts: list[StandingAlert]) -> list[StandingAlert]:
    """The alerts of present hosts that are full while nothing may be evicted, the longest first."""
    present = {row.host for row in rows if row.state != "offline"}
    found = [alert for alert in alerts if alert.id == AlertId.DISK_FULL_NOTHING_EVICTABLE and alert.host in present]
    return sorted(found, key=lambda alert: (alert.since, alert.host))[:MOST_BLOCKED]


def _document(alert: StandingAlert, held: list[documents.Held]) -> documents.Blocked:
    since = times.from_ms(alert.since)
    return documents.Blocked(host=alert.host, message=alert.message, since=since, held=held)


ROUTES = (
    Route(
        path="/api/overview",
        summary="The figures of the fleet, what holds full disks, and the last decisions",
        answer=documents.Overview,
        handle=overview,
        fresh=5.0,
    ),
)
