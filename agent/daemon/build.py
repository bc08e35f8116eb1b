"""The object graph of one agent, on one page: each object is made here, from those that it works with."""

from datetime import timedelta

from agent.adapters.clock import Clock
from agent.adapters.engine import Engine
from agent.adapters.sqlite.store import Store
from agent.core.model import Policy
from agent.core.usage.attribution import IgnoredContainers
from agent.eviction.build_cache import BuildCachePruner
from agent.eviction.evictor import Evictor
from agent.eviction.plan_reporter import PlanReporter
from agent.eviction.sweeper import SweepSteps
from agent.reporting.host_report import HostReport
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
    gaps = GapDetector(view, clock, gap_tolerance)
    arrivals = ImageArrivals(engine, view, clock)
    interpreter = EventInterpreter(engine, view, clock, gaps, arrivals, ignored)
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
