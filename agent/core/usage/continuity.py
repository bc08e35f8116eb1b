"""Whether the watch has a hole: time in which the engine was up and nobody saw its events.

The engine keeps a ring of its last 256 events, of all types. Where the last event that we processed is in it, or it
is not full and the engine is the one that we last saw, nothing fell out. Otherwise the time between the moment we
were last known to watch and the oldest event in the ring is blind. Anything that cannot be proven counts as blind.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from agent.core.timekeeping import ClockReading
from agent.core.usage.events import EngineEvent, Key

RING_SIZE = 256  # events; measured on 20.10 to 29.7
RESTARTED = "the engine restarted while nobody watched"
OVERRUN = "more happened than the engine remembers"
BOOT_TO_ENGINE = timedelta(
    minutes=10
)  # an engine whose memory begins later than this may have restarted since the boot


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the agent has read, and until when it is known to have been watching."""

    time_ns: int = 0  # of the latest event processed; 0: none yet
    key: Key | None = None
    alive_at: datetime | None = None  # None: never watched this engine before
    engine_ended: bool = False  # the stream ended because the engine did, under our eyes
    boot: str = ""  # the kernel's ID of the boot that it was in
    steady: float = 0.0  # seconds since that boot, at alive_at
    awake: float | None = None  # of those, the seconds in which the machine was not suspended; None: not noted

    @property
    def reading(self) -> ClockReading | None:
        """The clocks when the watch was last known to last; None where they were not noted."""
        if self.alive_at is None or not self.boot:
            return None
        return ClockReading(wall=self.alive_at, steady=self.steady, boot=self.boot, awake=self.awake)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDowntime:
    """Since a watch that missed nothing ended, and for as long as the engine was found down again and again.

    An engine can come up, run something and end again between two looks; that much is never known.
    """

    until: datetime  # when it was last known to run nothing: the end of the watch, then each look
    found: bool = False  # it was found down, at least once
    unbroken: bool = True  # at every look since the end of the watch

    def record_probe(self, at: datetime, *, down: bool, tolerance: timedelta) -> "EngineDowntime":
        """One more look. What is unknown for longer than the tolerance breaks it for good."""
        if not (self.unbroken and down and timedelta() <= at - self.until <= tolerance):
            return replace(self, unbroken=False)
        return replace(self, until=at, found=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRing:
    """The engine's whole ring, unfiltered, as read after the new stream was opened."""

    at: datetime
    size: int  # rows of all types
    oldest: datetime | None
    keys: frozenset[Key]  # of the rows that the agent reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """The machine's start, and its orderly end before that, where somebody recorded it."""

    id: str
    at: datetime
    shutdown: datetime | None = None


@dataclass(frozen=True, slots=True)
class BlindPeriod:
    """Time in which uses may have gone unseen."""

    since: datetime
    until: datetime
    cause: str

    @property
    def length(self) -> timedelta:
        return self.until - self.since


def nanoseconds(at: datetime) -> int:
    """A time as the engine's events bear it."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def make_ring(rows: Iterable[EngineEvent], size: int, oldest_ns: int, at: datetime) -> EventRing:
    rows = list(rows)
    oldest = EngineEvent(oldest_ns, "", "", "").at if size else None
    return EventRing(at=at, size=size, oldest=oldest, keys=frozenset(row.key for row in rows))


def from_previous_process(cursor: Cursor) -> Cursor:
    """A cursor that another process left. That process saw the engine end, but not whether it started again."""
    return replace(cursor, engine_ended=False)


def after_downtime(cursor: Cursor, ring: EventRing, down: EngineDowntime | None, tolerance: timedelta) -> Cursor:
    """The cursor of the process that saw the engine end, at its first connection since.

    An event from before a look that found it down means that it was not: then nothing is known of that time.
    """
    if cursor.alive_at is None or down is None or not down.found:
        return replace(cursor, engine_ended=False)
    if ring.oldest is not None and ring.oldest <= down.until:
        return replace(cursor, engine_ended=False)
    ended = down.unbroken and ring.at - down.until <= tolerance
    return replace(cursor, alive_at=max(cursor.alive_at, down.until), engine_ended=ended)


def blind_time(cursor: Cursor, ring: EventRing, boot: Boot | None = None) -> BlindPeriod | None:
    """The blind time before a (re)connection, or None where nothing can have been missed.

    None on the very first start, too: every image is first seen then, which is later than any use.
    """
    if cursor.alive_at is None or cursor.key in ring.keys:
        return None
    whole = ring.size < RING_SIZE  # everything since the engine's start is in it
    if whole and cursor.engine_ended:
        return None
    if whole and cursor.key is None and ring.oldest is not None and ring.oldest <= cursor.alive_at:
        return None  # the same engine as before: it remembers more than we had to
    if not whole:
        return _blind(cursor.alive_at, ring.oldest or ring.at, OVERRUN)
    remembers = ring.oldest or ring.at
    rebooted = boot is not None and cursor.boot not in ("", boot.id)
    if boot is not None and rebooted and remembers - boot.at <= BOOT_TO_ENGINE:
        return _blind(cursor.alive_at, _end_by_boot(cursor, boot), RESTARTED)
    return _blind(cursor.alive_at, remembers, RESTARTED)


def blind_in_audit(cursor: Cursor, ring: EventRing, *, stalled: bool, direct: bool) -> BlindPeriod | None:
    """The blind time of a stream that is still open, or None where nothing can have been missed.

    `cursor`: from before a stall, if there was one. `direct`: the engine itself listens at our socket. Its stream
    brings everything to a process that runs on time, and cannot outlive the engine; any other stream may be dead
    without an end, and the engine behind it may have restarted.
    """
    if cursor.alive_at is None or cursor.key in ring.keys or (direct and not stalled):
        return None
    if ring.size >= RING_SIZE:
        return _blind(cursor.alive_at, ring.oldest or ring.at, OVERRUN)
    if direct or cursor.key is None:
        return None
    return _blind(cursor.alive_at, ring.oldest or ring.at, RESTARTED)


def anchored(cursor: Cursor, remembered: Iterable[EngineEvent]) -> Cursor:
    """The cursor after a proof: at an event that the engine remembers, so that the next proof can start from it."""
    events = {event.key: event for event in remembered}
    if cursor.key in events:
        return cursor
    latest = max(events.values(), key=lambda event: event.time_ns, default=None)
    if latest is None:
        return replace(cursor, key=None)
    return replace(cursor, key=latest.key, time_ns=max(cursor.time_ns, latest.time_ns))


def _end_by_boot(cursor: Cursor, boot: Boot) -> datetime:
    """When the engine ended at the latest: at the recorded shutdown of the machine, else with the boot.

    An agent that was asked to stop shortly before may have been stopped by a person, with the engine still at work.
    """
    if boot.shutdown is not None and cursor.alive_at is not None and cursor.alive_at <= boot.shutdown <= boot.at:
        return boot.shutdown
    return boot.at


def _blind(since: datetime, until: datetime, cause: str) -> BlindPeriod | None:
    return BlindPeriod(since, until, cause) if until > since else None
