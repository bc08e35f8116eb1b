"""Intervals, delays and time-outs of the tracking of one engine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingTiming:
    """All in seconds."""

    heartbeat_interval: float = 15.0  # between pings; also the precision of the watch's end after a SIGKILL
    reinspect_delay: float = 5.0  # until an image whose inspect failed is inspected again, doubling
    relist_delay: float = 0.3  # after an image event, as a pull or a build raises several
    relist_interval: float = 3600.0  # BuildKit can make an image without any event
    engine_stop_time: float = 15.0  # an engine that stops closes its socket first, its stream up to 10 s later
    reconnect_delay: float = 0.2  # between the end of one stream and the next
    reconnect_backoff_max: float = 30.0  # between attempts to reach the engine
    reconnect_jitter: float = 1.0  # largest random addition to each of these waits
    drain_timeout: float = 2.0  # to apply the events that arrived before a stream ended
    in_flight: float = 2.0  # from Docker's event memory to the agent, at most
    in_flight_poll: float = 0.1
    audit_interval: float = 60.0  # between audits of a silent stream
