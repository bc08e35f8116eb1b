"""The object graph of one agent, on one page: each object is made here, from those that it works with."""

from datetime import timedelta

from agent.adapters.clock import Clock
from agent.adapters.engine import Engine
from agent.adapters.sqlite.store import Store
from agent.core.model import Policy
from agent.core.usage.attribution import IgnoredContainers
from agent.core.usage.fold import UsageFold
from agent.eviction.build_cache import BuildCachePruner
from agent.eviction.evictor import Evictor
from agent.eviction.plan_reporter import PlanReporter
from agent.eviction.sweeper import SweepSteps
from agent.reporting.host_report import HostReport
from agent.tracking.audit import StreamAudit
from agent.tracking.engine_view import EngineView
from agent.tracking.gaps import GapDetector
from agent.tracking.ingestor import EventIngestor
from agent.tracking.layer_probes import LayerProbes
from agent.tracking.position import ReadPosition
from agent.tracking.resolver import EventResolver
from agent.tracking.stalls import StallDetector
from agent.tracking.timing import TrackingTiming
from agent.tracking.writer import UsageWriter


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

    async def image_of(container_id: str) -> str | None:
        row = view.row
        return await store.run(lambda tables: tables.image_of(row, container_id))

    fold = UsageFold(ignored)
    view = EngineView(fold, stalls or StallDetector())
    gaps = GapDetector(view, store, clock, gap_tolerance)
    position = ReadPosition(view, store, clock, gap_tolerance)
    resolver = EventResolver(engine, fold, image_of)
    writer = UsageWriter(view, store, clock, resolver=resolver, gaps=gaps, position=position)
    auditor = StreamAudit(engine, writer, gaps, clock, timing)
    return EventIngestor(engine, store, clock, writer=writer, gaps=gaps, auditor=auditor, probes=probes, timing=timing)


def make_sweep_steps(
    engine: Engine, ingestor: EventIngestor, store: Store, clock: Clock, host_report: HostReport, rules: Policy
) -> SweepSteps:
    """What carries out the plans of a sweeper."""
    return SweepSteps(
        evictor=Evictor(engine, ingestor, store, clock),
        build_cache=BuildCachePruner(engine, store, clock, after=rules.build_cache_after),
        reporter=PlanReporter(host_report, ingestor.view, store, rules),
    )
