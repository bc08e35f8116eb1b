"""Whether there is a gap: time in which the engine was up and the agent may have missed its events.

The engine keeps a ring of its last 256 events of all types. If the ring still contains the last event that the agent
processed, or is not full and the engine has not restarted since, then no event was lost. Otherwise the time from when
the agent was last known to be watching to the oldest event in the ring is blind. What cannot be proven counts as blind.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from agent.core.timekeeping import ClockReading
from agent.core.usage.events import EngineEvent, Key

RING_SIZE = 256  # events; measured on 20.10 to 29.7
RESTARTED = "the engine restarted while nobody watched"
OVERRUN = "more happened than the engine remembers"
CLOCK_JUMPED = "the clock jumped"  # begins the cause, which says how far
_KINDS = {RESTARTED: "engine-restart", OVERRUN: "overrun"}
GAP_KINDS = (*_KINDS.values(), "clock", "unknown-image")
# an engine whose oldest event is later than this after the boot may have restarted since the boot
BOOT_TO_ENGINE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Up to which event the agent has read, and until when it is known to have been watching."""

    time_ns: int = 0  # of the latest processed event; 0: none yet
    key: Key | None = None
    alive_at: datetime | None = None  # None: it has never watched this engine
    engine_ended: bool = False  # the stream ended because the engine did, while this process was watching
    boot: str = ""  # the kernel's ID of the boot at that time
    steady: float = 0.0  # seconds from that boot to alive_at
    awake: float | None = None  # those without time in suspend; None if not recorded

    @property
    def reading(self) -> ClockReading | None:
        """The clocks at `alive_at`; None if they were not recorded."""
        if self.alive_at is None or not self.boot:
            return None
        return ClockReading(wall=self.alive_at, steady=self.steady, boot=self.boot, awake=self.awake)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDowntime:
    """A time since the end of a complete watch in which each probe found the engine down.

    An engine could start, run a container and stop again between two probes: that cannot be detected.
    """

    until: datetime  # when it was last known to be down: the end of the watch, then the last probe
    found: bool = False  # at least one probe found it down
    unbroken: bool = True  # each probe since the end of the watch found it down

    def record_probe(self, at: datetime, *, down: bool, tolerance: timedelta) -> "EngineDowntime":
        """Record a probe. If it finds the engine up, or is more than `tolerance` late, `unbroken` is False for good."""
        if not (self.unbroken and down and timedelta() <= at - self.until <= tolerance):
            return replace(self, unbroken=False)
        return replace(self, until=at, found=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRing:
    """The engine's whole ring, unfiltered, read after the new stream was opened."""

    at: datetime
    size: int  # events of all types
    oldest: datetime | None
    keys: frozenset[Key]  # of the events that the agent tracks


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """A start of the machine, with the orderly shutdown before it if one is recorded."""

    id: str
    at: datetime
    shutdown: datetime | None = None


@dataclass(frozen=True, slots=True)
class BlindPeriod:
    """A time in which uses may have been missed."""

    since: datetime
    until: datetime
    cause: str

    @property
    def length(self) -> timedelta:
        return self.until - self.since


def kind_of_cause(cause: str) -> str:
    """The kind of a gap, for figures: `overrun`, `engine-restart`, `clock`, or `unknown-image`."""
    if cause in _KINDS:
        return _KINDS[cause]
    return "clock" if cause.startswith(CLOCK_JUMPED) else "unknown-image"


def nanoseconds(at: datetime) -> int:
    """A time in the unit of the engine's events: nanoseconds since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def make_ring(rows: Iterable[EngineEvent], size: int, oldest_ns: int, at: datetime) -> EventRing:
    rows = list(rows)
    oldest = EngineEvent(oldest_ns, "", "", "").at if size else None
    return EventRing(at=at, size=size, oldest=oldest, keys=frozenset(row.key for row in rows))


def from_previous_process(cursor: Cursor) -> Cursor:
    """The cursor of an earlier process. If that saw the engine end, the engine may have run again in between."""
    return replace(cursor, engine_ended=False)


def after_downtime(cursor: Cursor, ring: EventRing, down: EngineDowntime | None, tolerance: timedelta) -> Cursor:
    """The cursor at the first connection after this process saw the engine end.

    If the ring has an event from before the last probe that found the engine down, it was not down all the time: then
    nothing is known about that time.
    """
    if cursor.alive_at is None or down is None or not down.found:
        return replace(cursor, engine_ended=False)
    if ring.oldest is not None and ring.oldest <= down.until:
        return replace(cursor, engine_ended=False)
    ended = down.unbroken and ring.at - down.until <= tolerance
    return replace(cursor, alive_at=max(cursor.alive_at, down.until), engine_ended=ended)


def blind_time(cursor: Cursor, ring: EventRing, boot: Boot | None = None) -> BlindPeriod | None:
    """The blind time before a (re)connection; None if nothing can have been missed.

    Also None on the very first start: each image is first seen then, which is later than any use.
    """
    if cursor.alive_at is None or cursor.key in ring.keys:
        return None
    whole = ring.size < RING_SIZE  # everything since the engine's start is in it
    if whole and cursor.engine_ended:
        return None
    if whole and cursor.key is None and ring.oldest is not None and ring.oldest <= cursor.alive_at:
        return None  # the same run of the engine as before, and the ring reaches back further than needed
    if not whole:
        return _blind(cursor.alive_at, ring.oldest or ring.at, OVERRUN)
    oldest = ring.oldest or ring.at
    rebooted = boot is not None and cursor.boot not in ("", boot.id)
    if boot is not None and rebooted and oldest - boot.at <= BOOT_TO_ENGINE:
        return _blind(cursor.alive_at, _end_by_boot(cursor, boot), RESTARTED)
    return _blind(cursor.alive_at, oldest, RESTARTED)


def blind_in_audit(cursor: Cursor, ring: EventRing, *, stalled: bool, direct: bool) -> BlindPeriod | None:
    """The blind time of a stream that is still open; None if nothing can have been missed.

    `cursor`: from before a stall, if there was one. `direct`: the engine itself listens at our socket. Then its stream
    is complete while our process runs without a stall, and ends with the engine. Any other stream may stop silently,
    and the engine behind it may have restarted.
    """
    if cursor.alive_at is None or cursor.key in ring.keys or (direct and not stalled):
        return None
    if ring.size >= RING_SIZE:
        return _blind(cursor.alive_at, ring.oldest or ring.at, OVERRUN)
    if direct or cursor.key is None:
        return None
    return _blind(cursor.alive_at, ring.oldest or ring.at, RESTARTED)


def anchored(cursor: Cursor, remembered: Iterable[EngineEvent]) -> Cursor:
    """The cursor after a successful proof, moved to an event that is still in the ring, for the next proof."""
    events = {event.key: event for event in remembered}
    if cursor.key in events:
        return cursor
    latest = max(events.values(), key=lambda event: event.time_ns, default=None)
    if latest is None:
        return replace(cursor, key=None)
    return replace(cursor, key=latest.key, time_ns=max(cursor.time_ns, latest.time_ns))


def _end_by_boot(cursor: Cursor, boot: Boot) -> datetime:
    """The latest time at which the engine ended: the recorded shutdown of the machine, else its next boot.

    Not when the agent stopped: a person may have stopped it shortly before, while the engine continued to run.
    """
    if boot.shutdown is not None and cursor.alive_at is not None and cursor.alive_at <= boot.shutdown <= boot.at:
        return boot.shutdown
    return boot.at


def _blind(since: datetime, until: datetime, cause: str) -> BlindPeriod | None:
    return BlindPeriod(since, until, cause) if until > since else None
