"""The object graph of one agent, on one page: each object is made here, from those that it works with."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from agent.adapters.broker import Connect
from agent.adapters.clock import Clock
from agent.adapters.engine import Engine
from agent.adapters.outbox import Outbox
from agent.adapters.sqlite.store import Store
from agent.core.model import Policy
from agent.core.protocol.payloads import Topics
from agent.core.usage.attribution import IgnoredContainers
from agent.eviction.build_cache import BuildCachePruner
from agent.eviction.evictor import Evictor
from agent.eviction.plan_reporter import PlanReporter
from agent.eviction.sweeper import SweepSteps
from agent.reporting import outbox_sender, publisher
from agent.reporting.collectors import Collectors
from agent.reporting.confirmation import Confirmation
from agent.reporting.host_report import HostReport
from agent.reporting.inventory_topic import InventoryTopic
from agent.reporting.outbox_sender import OutboxSender
from agent.reporting.poison import PoisonDetector
from agent.reporting.publisher import Publisher, PublisherParts
from agent.reporting.rejection import Rejections
from agent.reporting.subscriptions import Subscriptions
from agent.reporting.timing import ReportingTiming
from agent.tracking.arrivals import ImageArrivals
from agent.tracking.engine_view import EngineView
from agent.tracking.gaps import GapDetector
from agent.tracking.ingestor import EventIngestor
from agent.tracking.interpreter import EventInterpreter
from agent.tracking.layer_probes import LayerProbes
from agent.tracking.stalls import StallDetector
from agent.tracking.timing import TrackingTiming


def make_ingestor(
    engine: Engine,
    store: Store,
    clock: Clock,
    *,
    gap_tolerance: timedelta,
    probes: LayerProbes,
    ignored: IgnoredContainers = IgnoredContainers(),
    stalls: StallDetector | None = None,
    timing: TrackingTiming = TrackingTiming(),
) -> EventIngestor:
    """What turns events and listings into usage. `ignored`: containers whose runs are not uses."""
    view = EngineView(stalls or StallDetector())
    gaps = GapDetector(view, store, clock, gap_tolerance)
    arrivals = ImageArrivals(engine, view, clock)
    interpreter = EventInterpreter(engine, view, store, clock, gaps, arrivals, ignored)
    return EventIngestor(
        engine, store, clock, view=view, gaps=gaps, interpreter=interpreter, probes=probes, timing=timing
    )


def make_sweep_steps(
    engine: Engine, view: EngineView, store: Store, clock: Clock, host_report: HostReport, rules: Policy
) -> SweepSteps:
    """What carries out the plans of a sweeper."""
    return SweepSteps(
        evictor=Evictor(engine, view, store, clock),
        build_cache=BuildCachePruner(engine, store, clock, after=rules.build_cache_after),
        reporter=PlanReporter(host_report, view, store, rules),
    )


def make_publisher(
    *,
    connect: Connect,
    topics: Topics,
    host_report: HostReport,
    outbox: Outbox,
    clock: Clock,
    agent_id: str,
    settings: publisher.Settings = publisher.Settings(),
    former_alerts: Iterable[str] = publisher.ALERTS,
) -> Publisher:
    """What reports this agent to the broker. `former_alerts`: see Publisher."""
    return Publisher(
        connect=connect,
        topics=topics,
        host_report=host_report,
        clock=clock,
        agent_id=agent_id,
        parts=PublisherParts(
            sender=make_sender(outbox, topics.events, host_report, clock, settings.confirm, settings.timing),
            subscriptions=Subscriptions(topics, host_report, clock),
            inventory=InventoryTopic(topics.inventory, host_report, clock, settings.inventory_every, settings.chance),
            collectors=Collectors(clock),
        ),
        settings=settings,
        former_alerts=former_alerts,
    )


def make_sender(
    outbox: Outbox,
    topic: str,
    host_report: HostReport,
    clock: Clock,
    confirm: Literal["broker", "collector"] = "broker",
    timing: ReportingTiming = ReportingTiming(),
) -> OutboxSender:
    """What sends the rows of the outbox to a topic."""
    poison = PoisonDetector(outbox_sender.WINDOW)
    return OutboxSender(
        outbox,
        topic,
        host_report,
        clock,
        confirmation=Confirmation(outbox, host_report, clock, confirm),
        rejections=Rejections(outbox, topic, host_report, clock, poison),
        timing=timing,
    )
