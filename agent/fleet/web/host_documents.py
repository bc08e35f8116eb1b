"""The live rows of hosts as documents. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable

from agent.fleet.history import times
from agent.fleet.history.queries import values
from agent.fleet.live.row import HostRow, StandingAlert, State
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


def totals(rows: Collection[HostRow], alerts: Collection[StandingAlert]) -> documents.Totals:
    """The sums over the fleet. Those of images and bytes are without hosts that are offline."""
    present = [row for row in rows if row.state != "offline"]
    return documents.Totals(
        hosts=by_state(rows),
        images=sum(row.images or 0 for row in present),
        disk_used_bytes=sum(row.disk_used_bytes or 0 for row in present),
        disk_total_bytes=sum(row.disk_total_bytes or 0 for row in present),
        reclaimable_bytes=sum(row.reclaimable_bytes or 0 for row in present),
        alerts=len(alerts),
        critical_alerts=sum(alert.severity == "critical" for alert in alerts),
    )


def by_state(rows: Iterable[HostRow]) -> dict[State, int]:
    """How many hosts are in each state, zeros included."""
    counted = Counter(row.state for row in rows)
    states: tuple[State, ...] = ("online", "stale", "offline", "unknown")
    return {state: counted[state] for state in states}
