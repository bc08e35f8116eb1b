"""How long the sweeper waits, and how often it looks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionTiming:
    """All in seconds."""

    coalesce: float = 0.3  # a burst of events is one new plan
    overrides_poll: float = 2.0  # between reads of the file with pins and the pause
    disk_poll: float = 10.0  # between reads of the file system's usage, where its pressure matters
    pressure_retry: float = 60.0  # until the next plan under pressure
    retry_delay: float = 10.0  # until a sweep that failed is tried again, doubling
    max_sleep: float = 3600.0  # a wall clock that was set is noticed by then
