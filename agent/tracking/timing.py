"""How long the tracking of one engine waits, and how often it asks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingTiming:
    """All in seconds."""

    heartbeat_interval: float = 15.0  # between pings; also how exactly the end of the watch is known after a SIGKILL
    reinspect_delay: float = 5.0  # until an image whose inspect failed is inspected again, doubling
    relist_delay: float = 0.3  # after an image event, for a pull or a build raises several
    relist_interval: float = 3600.0  # BuildKit can make an image without any event
    engine_stop_time: float = 15.0  # that an engine may take to end: its socket first, its stream up to 10 s later
    reconnect_delay: float = 0.2  # between the end of one stream and the next
    reconnect_backoff_max: float = 30.0  # between attempts to reach the engine
    reconnect_jitter: float = 1.0  # at most added to each of these waits, at random
    drain_timeout: float = 2.0  # to take in the events that came before a stream ended
    in_flight: float = 2.0  # that an event may take from the engine's memory to us
    in_flight_poll: float = 0.1
    audit_interval: float = 60.0  # of a silent stream
