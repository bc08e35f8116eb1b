"""The waits of all stages, in one record: a test shortens them by passing another one."""

from dataclasses import dataclass

from agent.eviction.timing import EvictionTiming
from agent.reporting.timing import ReportingTiming
from agent.tracking.timing import TrackingTiming


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The waits of one agent."""

    tracking: TrackingTiming = TrackingTiming()
    eviction: EvictionTiming = EvictionTiming()
    reporting: ReportingTiming = ReportingTiming()
