"""Intervals and delays of the sweeper."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionTiming:
    """All in seconds."""

    coalesce: float = 0.3  # after a change, so that a burst of events makes one new plan
    overrides_poll: float = 2.0  # between reads of the file with pins and the pause
    disk_poll: float = 10.0  # between reads of the file system's usage, if the policy depends on it
    pressure_retry: float = 60.0  # until the next plan under pressure
    retry_delay: float = 10.0  # after a failed sweep, doubling with each failure
    max_sleep: float = 3600.0  # limits the delay after the wall clock is set
