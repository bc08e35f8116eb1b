"""How long the publisher waits, and how often it publishes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportingTiming:
    """All in seconds."""

    status_interval: float = 60.0
    report_interval: float = 2.0  # what changes in that time is published together
    offline_timeout: float = 2.0  # for the last `offline`
    stable_after: float = 60.0  # a connection that lasted longer starts the back-off again
    reconnect_backoff_max: float = 60.0  # between two attempts to connect
    duplicate_agent_ttl: float = 180.0  # without a sign of the other agent until its alert is cleared
    reassert_interval: float = 1.0  # at least between two answers to what others write to our status
    resend_after: float = 30.0  # without progress of the watermark until rows are sent again; doubles each time
    resend_backoff_max: float = 600.0
