"""What a batch of messages changes: made by the fold, written by the history, shown by the live fleet. Pure data."""

from dataclasses import dataclass, field
from datetime import datetime

from agent.core.protocol import payloads
from agent.fleet.live.summary import InventorySummary

Range = tuple[int, int]  # both ends included
Source = tuple[str, str]  # host, epoch


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message, with the time at which it arrived. One with `retain` is older than the subscription."""

    topic: str
    payload: bytes
    at: datetime
    retain: bool = False


@dataclass(frozen=True, slots=True)
class StatusChange:
    host: str
    status: payloads.Status | None  # None: the topic was cleared
    at: datetime
    retain: bool = False


@dataclass(frozen=True, slots=True)
class InfoChange:
    host: str
    info: payloads.Info | None
    at: datetime
    retain: bool = False


@dataclass(frozen=True, slots=True)
class InventoryChange:
    """An inventory that differs from the last one, as JSON: its images are not decoded before they are stored.

    `digest`: BLAKE2b-64 of its payload.
    """

    host: str
    summary: InventorySummary | None  # None: it was cleared
    text: bytes
    digest: bytes
    at: datetime
    retain: bool = False


@dataclass(frozen=True, slots=True)
class AlertChange:
    host: str
    alert_id: str
    alert: payloads.Alert | None  # None: it ended
    at: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """A host gave a sign of life, and nothing else changed."""

    host: str
    at: datetime


Change = StatusChange | InfoChange | InventoryChange | AlertChange | Seen


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that arrived for the first time."""

    host: str
    epoch: str
    seq: int
    event: payloads.Event
    data: payloads.EventData | None  # None: of a type that this version does not know


@dataclass(frozen=True, slots=True)
class StreamState:
    """Which events of a source have arrived: all up to `contiguous`, and above it all but `missing` up to `highest`."""

    contiguous: int = 0
    missing: tuple[Range, ...] = ()  # ascending, each above `contiguous`
    highest: int = 0


@dataclass(slots=True)
class Batch:
    """The changes of some messages in their order, to be committed in one transaction."""

    at: datetime
    changes: list[Change] = field(default_factory=list)
    events: list[StoredEvent] = field(default_factory=list)
    streams: dict[Source, StreamState] = field(default_factory=dict)  # each that a message of the batch was from
    gone: dict[Source, list[Range]] = field(default_factory=dict)  # numbers that will never be sent
    duplicates: int = 0
    refused: int = 0  # events beyond too many missing ranges: they were not taken, and must be sent again
    undecodable: list[str] = field(default_factory=list)  # topics


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionChange:
    """A decision that was written, or whose outcome was: what viewers are shown. `id`: its row."""

    id: int
    host: str
    decision_id: str


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit found out."""

    decisions: tuple[DecisionChange, ...] = ()
    regrets: dict[str, int] = field(default_factory=dict)  # host -> decisions whose image came back in this commit
    streams: dict[Source, StreamState] = field(default_factory=dict)  # of the batch, as they are on disk now
    unreadable: tuple[str, ...] = ()  # hosts whose inventory was not written, as its images cannot be read
