"""How often the publisher publishes, and how long it waits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportingTiming:
    """Times in seconds."""

    status_interval: float = 60.0
    report_interval: float = 2.0  # changes within this time are published together
    offline_timeout: float = 2.0  # to publish `offline` at the end
    stable_after: float = 60.0  # a connection that lasted longer resets the back-off
    reconnect_backoff_max: float = 60.0  # between two attempts to connect
    duplicate_agent_ttl: float = 180.0  # without a message of the other agent, until its alert is cleared
    reassert_interval: float = 1.0  # at least between two corrections of a status that others overwrote
    resend_after: float = 30.0  # without progress of the watermark until rows are sent again; doubles each time
    resend_backoff_max: float = 600.0
