"""The metrics of one agent. Labels have fixed values only: the name of an image is never one, as anybody chooses it."""

import platform
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from agent import __version__
from agent.core.figures import EventCounts, Figures, Histogram
from agent.core.policy.decision import Outcome, Reason
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.core.usage import continuity
from agent.http import plan_families
from agent.http.facts import Facts


def of(facts: Facts) -> Iterator[Metric]:
    """All metrics. A figure that is not known has no series."""
    yield from _working(facts)
    yield from _tracking(facts.figures)
    if facts.counts is not None:
        yield from _counts(facts.counts)
    yield from _disk(facts)
    yield from plan_families.of(facts.plan, facts.now)
    yield from _reports(facts)


def _working(facts: Facts) -> Iterator[Metric]:
    build = GaugeMetricFamily(
        "torchkeeper_build_info", "The versions of the agent, of Python and of the engine", labels=_BUILD
    )
    build.add_metric((__version__, platform.python_version(), facts.engine_version), 1)
    yield build
    yield gauge("engine_watched", "1 while the agent reads the engine's events and has lost none", facts.watched)
    yield gauge("enforcing", "1 if due images are removed, 0 in observe mode", facts.enforcing)
    alerts = GaugeMetricFamily("torchkeeper_alert", "1 for each standing alert", labels=("alert", "severity"))
    for alert in sorted(facts.alerts, key=lambda alert: alert.id):
        alerts.add_metric((alert.id, alert.severity), 1)
    yield alerts
    if facts.figures.last_sweep is not None:
        last = facts.figures.last_sweep.timestamp()
        yield gauge("last_sweep_timestamp_seconds", "The end of the last sweep without an error", last)
    yield _histogram("sweep_duration_seconds", "Duration of sweeps without an error", facts.figures.sweep_seconds)
    refused = any(alert.id == AlertId.CONFIG_REFUSED for alert in facts.alerts)
    yield gauge("config_last_reload_successful", "0 while a changed configuration file is refused", not refused)


_BUILD = ("version", "python", "engine")


def _tracking(figures: Figures) -> Iterator[Metric]:
    yield _counter("engine_connections", "Connections to the engine", figures.engine_connections)
    yield _counter(
        "event_buffer_overflows", "Times that events came faster than they were stored", figures.buffer_overflows
    )
    yield _counter("uses", "Uses of images that were recorded", figures.uses)
    yield _histogram("event_lag_seconds", "Time from an event to its record on disk", figures.event_lag_seconds)


def _counts(counts: EventCounts) -> Iterator[Metric]:
    evictions = CounterMetricFamily("torchkeeper_evictions", "Evictions that ended", labels=("reason", "outcome"))
    # From 0: the first failure in a series that was not there before is no increase to Prometheus.
    known = {reason.value: dict.fromkeys(map(str, Outcome), 0) for reason in Reason if reason.evicts}
    for reason in sorted(known.keys() | counts.evictions.keys()):
        for outcome, count in {**known.get(reason, {}), **counts.evictions.get(reason, {})}.items():
            evictions.add_metric((reason, outcome), count)
    yield evictions
    freed = {"measured": counts.measured_bytes, "estimated": counts.estimated_bytes}
    yield _by_label("freed_bytes", "Bytes that evictions freed", "kind", freed)
    yield _counter("build_cache_freed_bytes", "Bytes freed in the build cache", counts.build_cache_bytes)
    gaps = {kind: counts.gaps.get(kind, 0) for kind in continuity.GAP_KINDS}
    yield _by_label("gaps", "Times in which uses may have been missed", "cause", gaps)
    yield _counter("gap_seconds", "Length of all gaps together", counts.gap_seconds)
    yield _counter("regrets", "Evicted images that came back before their TTL had passed", counts.regrets)


def _disk(facts: Facts) -> Iterator[Metric]:
    if facts.disk is not None:
        disk, inodes = facts.disk, facts.disk.used_inodes + facts.disk.available_inodes
        yield gauge(
            "engine_filesystem_size_bytes", "Size of the engine's file system, without its reserve", disk.usable_bytes
        )
        yield gauge("engine_filesystem_used_bytes", "Used bytes of the engine's file system", disk.used_bytes)
        if inodes:
            yield gauge("engine_filesystem_size_inodes", "Inodes of the engine's file system", inodes)
            yield gauge("engine_filesystem_used_inodes", "Used inodes of the engine's file system", disk.used_inodes)
    yield gauge(
        "stopped_containers_held_bytes", "Bytes of images that only stopped containers keep", facts.stopped_bytes
    )
    if facts.figures.build_cache_bytes is not None:
        yield gauge("build_cache_bytes", "Size of the build cache", facts.figures.build_cache_bytes)


def _reports(facts: Facts) -> Iterator[Metric]:
    if not facts.broker:
        return
    yield gauge("broker_connected", "1 while the broker is connected", facts.figures.broker_connected)
    yield _counter("broker_connections", "Connections to the broker", facts.figures.broker_connections)
    if facts.waiting is not None:
        oldest = facts.waiting.oldest
        age = max(0.0, (facts.now - oldest).total_seconds()) if oldest is not None else 0.0
        yield gauge("outbox_rows", "Events that wait until the collector has them", facts.waiting.rows)
        yield gauge("outbox_oldest_seconds", "Age of the oldest of them", age)
    if facts.counts is not None:
        dropped = {**dict.fromkeys(payloads.DROPPED_REASONS, 0), **facts.counts.dropped}
        yield _by_label("outbox_dropped", "Events that were given up", "reason", dropped)
    if facts.certificate_expires is not None:
        expires = facts.certificate_expires.timestamp()
        yield gauge("mqtt_certificate_expiry_timestamp_seconds", "The end of the agent's certificate", expires)


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"torchkeeper_{name}", text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"torchkeeper_{name}", text, value=value)


def _by_label(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"torchkeeper_{name}", text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _histogram(name: str, text: str, values: Histogram) -> Metric:
    family = HistogramMetricFamily(f"torchkeeper_{name}", text)
    family.add_metric((), values.buckets(), values.total)
    return family
