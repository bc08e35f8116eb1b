"""The metrics of the monitor. `host` is the only label with many values, and an image is never one."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from agent.core.protocol.alerts import AlertId
from agent.fleet.live import conditions, totals
from agent.fleet.live.counters import COMMIT_BUCKETS, OTHER, Counters
from agent.fleet.live.row import HostRow, StandingAlert
from agent.fleet.totals import badness
from agent.fleet.web import documents

HOSTS_SHOWN = 2000  # with metrics of their own; in a larger fleet only hosts in trouble have them
_ALERT_IDS = frozenset(AlertId) | conditions.ALERTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one scrape shows: copies, as the fleet changes while a thread reads them."""

    rows: list[HostRow]
    alerts: list[StandingAlert]
    counters: Counters
    health: documents.Health
    viewers: int
    version: str


def of(facts: Facts, hosts_shown: int = HOSTS_SHOWN) -> Iterator[Metric]:
    yield from _fleet(facts)
    yield from _alerts(facts.alerts)
    yield from _counters(facts.counters)
    yield from _monitor(facts)
    yield from _hosts(shown_hosts(facts.rows, hosts_shown), facts.counters.regrets)


def shown_hosts(rows: list[HostRow], limit: int) -> list[HostRow]:
    """All hosts; of more than `limit` those in trouble, the worst first."""
    if len(rows) <= limit:
        return rows
    return sorted((row for row in rows if _in_trouble(row)), key=badness)[:limit]


def _in_trouble(row: HostRow) -> bool:
    return row.state in ("stale", "offline") or row.criticals > 0 or totals.is_over_high(row)


def _fleet(facts: Facts) -> Iterator[Metric]:
    sums = totals.of(facts.rows, facts.alerts)
    yield _by_label("hosts", "Hosts by state", "state", sums.hosts.items())
    yield _gauge(
        "hosts_over_high", "Hosts whose disk is above the limit of their policy, or above 85 %", sums.over_high
    )
    yield _gauge("disk_used_bytes", "Disk in use on all hosts that are not offline", sums.disk_used_bytes)
    yield _gauge("disk_total_bytes", "Disk on all hosts that are not offline", sums.disk_total_bytes)
    yield _gauge("reclaimable_bytes", "What images that are due would free together", sums.reclaimable_bytes)


def _alerts(alerts: Iterable[StandingAlert]) -> Iterator[Metric]:
    family = GaugeMetricFamily("torchkeeper_alerts", "Standing alerts", labels=("id", "severity"))
    # A graph shows 0 only if there is a series.
    counted = Counter({(AlertId.DISK_FULL_NOTHING_EVICTABLE.value, "critical"): 0})
    counted.update((alert.id if alert.id in _ALERT_IDS else OTHER, alert.severity) for alert in alerts)
    for labels, count in sorted(counted.items()):
        family.add_metric(labels, count)
    yield family


def _counters(counters: Counters) -> Iterator[Metric]:
    evictions = CounterMetricFamily(
        "torchkeeper_evictions", "Evictions that ended", labels=("reason", "outcome", "mode")
    )
    for labels, count in sorted(counters.evictions.items()):
        evictions.add_metric(labels, count)
    yield evictions
    freed = CounterMetricFamily("torchkeeper_freed_bytes", "Bytes that evictions freed", labels=("kind",))
    for kind, count in counters.freed_bytes.items():
        freed.add_metric((kind,), count)
    yield freed
    events = CounterMetricFamily("torchkeeper_events", "Events that arrived for the first time", labels=("type",))
    for kind, count in sorted(counters.events.items()):
        events.add_metric((kind,), count)
    yield events
    yield _counter("regrets", "Evicted images that came back before their TTL had passed", counters.regrets.total())
    yield _counter("duplicates", "Events that arrived again", counters.duplicates)
    yield _counter("undecodable_messages", "Messages that are not of the protocol", counters.undecodable)
    yield _counter("dropped_events", "Events that hosts gave up", counters.dropped)
    yield _gauge("missing_events", "Events that have not arrived, while later ones have", counters.missing)


def _monitor(facts: Facts) -> Iterator[Metric]:
    health = facts.health
    yield _gauge("monitor_behind_events", "Messages that wait to be stored", health.behind_events)
    yield _gauge("monitor_viewers", "Viewers of the stream", facts.viewers)
    yield _gauge("monitor_broker_connected", "1 while the broker is connected", health.broker == "connected")
    yield _commits(facts.counters)
    build = GaugeMetricFamily("torchkeeper_monitor_build_info", "The version of the monitor", labels=("version",))
    build.add_metric((facts.version,), 1)
    yield build


def _commits(counters: Counters) -> Metric:
    buckets, below = [], 0
    for bound, count in zip((*COMMIT_BUCKETS, "+Inf"), counters.commits, strict=True):
        below += count
        buckets.append((str(bound), float(below)))
    family = HistogramMetricFamily("torchkeeper_monitor_commit_seconds", "Time to store a batch of messages")
    family.add_metric((), buckets, counters.commit_seconds)
    return family


def _hosts(rows: list[HostRow], regrets: Counter[str]) -> Iterator[Metric]:
    yield _of_hosts("up", "1 while the host is online", ((row, row.state == "online") for row in rows))
    yield _of_hosts("disk_used_bytes", "Disk in use", ((row, row.disk_used_bytes) for row in rows))
    yield _of_hosts("disk_total_bytes", "Size of the disk", ((row, row.disk_total_bytes) for row in rows))
    yield _of_hosts(
        "reclaimable_bytes", "What images that are due would free", ((row, row.reclaimable_bytes) for row in rows)
    )
    yield _of_hosts("images", "Images", ((row, row.images) for row in rows))
    yield _of_hosts(
        "last_seen_timestamp_seconds",
        "The last sign of life",
        ((row, row.last_seen / 1000 if row.last_seen is not None else None) for row in rows),
    )
    yield _of_hosts("alerts", "Standing alerts", ((row, row.warnings + row.criticals) for row in rows))
    family = CounterMetricFamily(
        "torchkeeper_host_regrets", "Evicted images that came back before their TTL had passed", labels=("host",)
    )
    for row in rows:
        family.add_metric((row.host,), regrets[row.host])
    yield family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"torchkeeper_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"torchkeeper_{name}", text, value=value)


def _by_label(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"torchkeeper_{name}", text, labels=(label,))
    for key, value in values:
        family.add_metric((key,), value)
    return family


def _of_hosts(name: str, text: str, values: Iterable[tuple[HostRow, float | None]]) -> Metric:
    """A figure that is not known has no series."""
    known = ((row.host, value) for row, value in values if value is not None)
    return _by_label(f"host_{name}", text, "host", known)
