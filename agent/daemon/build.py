"""The object graph of one agent, on one page: each object is made here, from those that it works with."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent.adapters import boot
from agent.adapters.broker import Connect
from agent.adapters.clock import Clock
from agent.adapters.engine import Engine
from agent.adapters.outbox import Outbox
from agent.adapters.sqlite.store import Store
from agent.config.settings import Settings
from agent.config.source import SettingsSource
from agent.core.policy.settings import Policy
from agent.core.protocol.topics import Topics
from agent.core.usage.attribution import IgnoredContainers
from agent.core.usage.fold import UsageFold
from agent.daemon import in_force
from agent.daemon.in_force import SettingsInForce
from agent.daemon.reload import Reloader
from agent.daemon.timing import Timing
from agent.eviction.build_cache import BuildCachePruner
from agent.eviction.evictor import Evictor
from agent.eviction.plan_reporter import PlanReporter
from agent.eviction.planner import Planner
from agent.eviction.sweeper import Pacing, Sweeper, SweepSteps
from agent.pulse import Pulse
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
from agent.tracking import layer_probes
from agent.tracking.audit import StreamAudit
from agent.tracking.engine_view import EngineView
from agent.tracking.gaps import GapDetector
from agent.tracking.ingestor import EventIngestor
from agent.tracking.layer_probes import LayerProbes
from agent.tracking.position import ReadPosition
from agent.tracking.resolver import EventResolver
from agent.tracking.stalls import StallDetector
from agent.tracking.timing import TrackingTiming
from agent.tracking.watcher import Watcher
from agent.tracking.writer import UsageWriter

if TYPE_CHECKING:
    from agent.daemon.credentials import CredentialWatch  # an agent without a broker does not load the MQTT client
    from agent.http.server import HttpServer


@dataclass(frozen=True, slots=True)
class Components:
    """The loops of one agent, built and not yet running."""

    engine: Engine
    store: Store
    host_report: HostReport
    ingestor: EventIngestor
    watcher: Watcher
    planner: Planner
    sweeper: Sweeper
    pulse: Pulse = field(default_factory=Pulse)


def make_agent(
    settings: Settings,
    store: Store,
    folder: Path,
    clock: Clock,
    engine: Engine,
    patience: float = layer_probes.PATIENCE,
    timing: Timing = Timing(),
) -> Components:
    """One agent on one state folder. `patience`: seconds that a listing waits for layers to be read."""
    probes = LayerProbes(engine, probing=in_force.probing(settings), patience=patience)
    ingestor = make_ingestor(
        engine,
        store,
        clock,
        gap_tolerance=settings.usage.gap_tolerance,
        probes=probes,
        ignored=IgnoredContainers(settings.usage.ignore_containers),
        timing=timing.tracking,
    )
    host_report, pulse = HostReport(ingestor.view.figures), Pulse(clock.monotonic)
    pacing = Pacing(pause=settings.limits.pause, grace=settings.policy.change_grace, timing=timing.eviction)
    steps = make_sweep_steps(
        engine,
        ingestor,
        store,
        clock,
        host_report,
        rules=settings.core_policy(),
        folder=folder,
        pacing=pacing,
    )
    sweeper = Sweeper(ingestor, store, clock, host_report, steps=steps, folder=folder, pacing=pacing, pulse=pulse)
    watcher = Watcher(engine, ingestor, clock, host_report, timing.tracking, pulse)
    return Components(engine, store, host_report, ingestor, watcher, steps.planner, sweeper, pulse)


def make_reloader(
    source: SettingsSource, present: SettingsInForce, components: Components, folder: Path, clock: Clock
) -> Reloader:
    """What reads the configuration again. `present`: the settings that the components were made with."""
    applier = in_force.Applier(
        present,
        sweeper=components.sweeper,
        ingestor=components.ingestor,
        host_report=components.host_report,
        folder=folder,
        clock=clock,
    )
    return Reloader(source, present, applier.apply, components.host_report, clock)


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
    fold = UsageFold(ignored)
    view = EngineView(fold, stalls or StallDetector())
    gaps = GapDetector(view, clock, gap_tolerance, boot.last)
    position = ReadPosition(view, clock, gap_tolerance)
    resolver = EventResolver(engine, fold, view.image_of)
    writer = UsageWriter(view, clock, resolver=resolver, gaps=gaps, position=position)
    auditor = StreamAudit(engine, writer, gaps, clock, timing)
    return EventIngestor(engine, store, clock, writer=writer, gaps=gaps, auditor=auditor, probes=probes, timing=timing)


def make_sweep_steps(
    engine: Engine,
    ingestor: EventIngestor,
    store: Store,
    clock: Clock,
    host_report: HostReport,
    *,
    rules: Policy,
    folder: Path,
    pacing: Pacing,
) -> SweepSteps:
    """What makes and carries out the plans of a sweeper."""
    view = ingestor.view
    return SweepSteps(
        planner=Planner(ingestor, store, clock, host_report, rules=rules, folder=folder, grace=pacing.grace),
        evictor=Evictor(engine, ingestor, store, clock),
        build_cache=BuildCachePruner(engine, store, clock, after=rules.build_cache_after),
        reporter=PlanReporter(host_report, view, store, rules),
    )


def make_http_server(present: SettingsInForce, components: Components, clock: Clock, folder: Path) -> "HttpServer":
    """What serves health and metrics. Only here are its libraries imported: most agents serve nothing."""
    from agent.http.app import make_app
    from agent.http.facts import Gatherer
    from agent.http.server import HttpServer

    settings = present.settings
    if settings.http.address is None:
        raise ValueError("http.listen is empty")
    gatherer = Gatherer(
        view=components.ingestor.view,
        host_report=components.host_report,
        store=components.store,
        clock=clock,
        folder=folder,
        observe=lambda: present.settings.agent.mode == "observe",
        broker=bool(settings.mqtt.url),
    )
    return HttpServer(make_app(gatherer, components.pulse), settings.http.address, components.host_report, clock)


@dataclass(frozen=True, slots=True)
class Reporting:
    """The loops that report an agent to its broker."""

    publisher: Publisher
    credentials: "CredentialWatch"


def make_reporting(settings: Settings, host: str, components: Components, clock: Clock) -> Reporting:
    """What reports an agent to the broker of its settings. Raises ConfigError where none is set."""
    from agent.adapters.mqtt import broker
    from agent.adapters.mqtt.credentials import CredentialFiles
    from agent.daemon.credentials import CredentialWatch

    options = broker.all_options(settings.mqtt, broker.agent_client_id(host, components.store.agent_id))
    files = CredentialFiles(options)
    connect = files.noting(broker.connector(options))
    publisher = make_agent_publisher(settings, host, components, clock, connect=connect)
    return Reporting(publisher, CredentialWatch(files, publisher.reconnect, components.host_report, clock))


def make_agent_publisher(
    settings: Settings,
    host: str,
    components: Components,
    clock: Clock,
    timing: Timing = Timing(),
    *,
    connect: Connect | None = None,
) -> Publisher:
    """The publisher of an agent. `connect`: its connections; None: to the broker of the settings.

    Raises ConfigError where none is set.
    """
    from agent.adapters.mqtt import broker

    agent_id = components.store.agent_id
    if connect is None:
        connect = broker.connector(broker.all_options(settings.mqtt, broker.agent_client_id(host, agent_id)))
    return make_publisher(
        connect=connect,
        topics=Topics(settings.mqtt.prefix, host),
        host_report=components.host_report,
        outbox=components.store,
        clock=clock,
        agent_id=agent_id,
        settings=publisher.Settings(
            collector=settings.mqtt.collector,
            confirm=settings.mqtt.confirm,
            username=settings.mqtt.username,
            inventory_every=settings.mqtt.inventory_every.total_seconds(),
            timing=timing.reporting,
        ),
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
) -> Publisher:
    """What reports this agent to the broker."""
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
