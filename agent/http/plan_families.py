"""The metrics of the last plan: why the disk is full, and what will be evicted next."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from agent.core.images.layers import LayerIndex
from agent.core.policy import totals
from agent.core.policy.decision import Action, Decision, Plan

WITHIN = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "7d": timedelta(days=7)}


def of(plan: Plan | None, now: datetime) -> Iterator[Metric]:
    """Nothing before the first plan."""
    if plan is None:
        return
    yield from _by_reason(plan)
    yield from _due(plan, now)
    yield _gauge("reclaimable_bytes", "Bytes that all images due now would free together", plan.estimated_bytes)
    yield _gauge("policy_change_pending", "1 while images wait that only a changed policy evicts", bool(plan.deferred))


def _by_reason(plan: Plan) -> Iterator[Metric]:
    labels = ("action", "reason")
    images = GaugeMetricFamily("torchkeeper_images", "Images by action and reason", labels=labels)
    text = "Bytes that would be free without the images of a reason"
    exclusive = GaugeMetricFamily("torchkeeper_images_exclusive_bytes", text, labels=labels)
    for reason, total in totals.by_reason(plan).items():
        action = Action.EVICT if reason.evicts else Action.KEEP
        images.add_metric((action.value, reason.value), total.images)
        exclusive.add_metric((action.value, reason.value), total.bytes)
    yield images
    yield exclusive


def _due(plan: Plan, now: datetime) -> Iterator[Metric]:
    layers = LayerIndex(item.image for item in plan.decisions)
    images = GaugeMetricFamily("torchkeeper_due_images", "Images that will be due by then, if not used", labels=_LABEL)
    freed = GaugeMetricFamily("torchkeeper_due_bytes", "Bytes that those would free together", labels=_LABEL)
    for name, span in WITHIN.items():
        due = [item.image.id for item in plan.decisions if (at := due_at(item, plan)) is not None and at <= now + span]
        images.add_metric((name,), len(due))
        freed.add_metric((name,), layers.reclaimable_together(due))
    yield images
    yield freed
    coming = min((at for item in plan.decisions if (at := due_at(item, plan)) is not None), default=None)
    if coming is not None:
        yield _gauge("next_eviction_timestamp_seconds", "When the next image is due", coming.timestamp())


_LABEL = ("within",)


def due_at(item: Decision, plan: Plan) -> datetime | None:
    """When an image is due; the time of the plan for one that is due and has no time of its own; None for never."""
    return item.due or (plan.at if item.action is Action.EVICT else None)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"torchkeeper_{name}", text, value=float(value))
