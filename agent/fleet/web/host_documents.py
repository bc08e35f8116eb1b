"""The live rows of hosts as documents. Pure."""

from collections.abc import Iterable

from agent.fleet.history import times
from agent.fleet.history.queries import values
from agent.fleet.live.row import HostRow, StandingAlert
from agent.fleet.live.totals import DEFAULT_HIGH, Totals
from agent.fleet.web import documents


def host(row: HostRow, alerts: Iterable[StandingAlert]) -> documents.Host:
    """`alerts`: those of this host."""
    last = None
    if row.last_decision_at is not None:
        last = documents.LastDecision(at=times.from_ms(row.last_decision_at), outcome=row.last_outcome)
    return documents.Host(
        host=row.host,
        state=row.state,
        mode=row.mode,
        paused=row.paused,
        version=row.version,
        last_seen=values.maybe(row.last_seen),
        images=row.images,
        images_left_out=row.images_left_out,
        disk_used_bytes=row.disk_used_bytes,
        disk_total_bytes=row.disk_total_bytes,
        high=row.high,
        reclaimable_bytes=row.reclaimable_bytes,
        next_eviction=values.maybe(row.next_eviction),
        last_decision=last,
        freed_24h_bytes=row.freed_24h_bytes,
        regrets_30d=row.regrets_30d,
        alerts=[alert(item) for item in alerts],
    )


def alert(item: StandingAlert) -> documents.Alert:
    return documents.Alert(
        host=item.host,
        id=item.id,
        severity=item.severity,
        message=item.message,
        since=times.from_ms(item.since),
    )


def by_host(alerts: Iterable[StandingAlert]) -> dict[str, list[StandingAlert]]:
    """The alerts of each host, in the order of their IDs."""
    found: dict[str, list[StandingAlert]] = {}
    for item in sorted(alerts, key=lambda alert: (alert.host, alert.id)):
        found.setdefault(item.host, []).append(item)
    return found


def totals(sums: Totals) -> documents.Totals:
    return documents.Totals(
        hosts=sums.hosts,
        images=sums.images,
        disk_used_bytes=sums.disk_used_bytes,
        disk_total_bytes=sums.disk_total_bytes,
        reclaimable_bytes=sums.reclaimable_bytes,
        alerts=sums.alerts,
        critical_alerts=sums.critical_alerts,
    )


def high(sums: Totals) -> str:
    """Which limit the number of full disks is about."""
    default = f"above {DEFAULT_HIGH:.0%}".replace("%", " %")
    if sums.own_high == sums.over_high:
        return "by their policy"
    return default if not sums.own_high else f"by their policy, or {default}"
