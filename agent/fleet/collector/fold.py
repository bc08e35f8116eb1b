"""Turns messages into the changes that they mean. Pure: no clock, no I/O, and no payload makes it raise.

Anybody who may publish can publish anything. A message that means nothing is counted with its topic, and stops nothing.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from agent.core.protocol import payloads
from agent.core.protocol.topics import PROBE, Topics
from agent.fleet.collector import streams
from agent.fleet.collector.batch import (
    AlertChange,
    Batch,
    Change,
    Incoming,
    InfoChange,
    InventoryChange,
    Seen,
    Source,
    StatusChange,
    StoredEvent,
    StreamState,
)
from agent.fleet.live import summary as summaries

MAX_EPOCHS = 10_000  # of one host; each state file that it had is one, and each takes 0.3 kB here
DIGEST_BYTES = 8

_EPOCH = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_EMPTY = StreamState()


@dataclass(frozen=True, slots=True)
class _Numbered:
    """An event whose envelope is in order."""

    source: Source
    seq: int
    event: payloads.Event
    data: payloads.EventData | None

    @property
    def dropped(self) -> Sequence[tuple[int, int]]:
        """The earlier numbers that it says will never be sent; of later ones no host can know that."""
        return streams.valid(self.data.ranges, self.seq) if isinstance(self.data, payloads.DroppedData) else ()


class Fold:
    """What all messages so far mean. `streams`: which events are stored; `digests`: of each host's stored inventory."""

    def __init__(self, topics: Topics, streams: Mapping[Source, StreamState], digests: Mapping[str, bytes]) -> None:
        self._topics = topics
        self._streams = dict(streams)
        self._digests = dict(digests)
        self._sessions: dict[str, int] = {}  # of the last birth of each host
        self._epochs = Counter(host for host, _ in self._streams)
        self._ranges: Counter[str] = Counter()  # missing ranges of all streams of a host
        for (host, _), state in self._streams.items():
            self._ranges[host] += len(state.missing)

    def apply(self, messages: Sequence[Incoming], now: datetime) -> Batch:
        """The changes that these messages mean. They count as stored from now on: commit them before the next call."""
        batch = Batch(now)
        seen: set[str] = set()
        for message in messages:
            host, rest = self._topics.parse(message.topic) or ("", "")
            if not host or not self._apply(host, rest, message, batch, seen):
                batch.undecodable.append(message.topic)
        return batch

    def settle(self, streams: Mapping[Source, StreamState]) -> None:
        """Take over what a commit found on disk: another collector may have stored events, too."""
        for source, state in streams.items():
            self._set(source, state)

    def _apply(self, host: str, rest: str, message: Incoming, batch: Batch, seen: set[str]) -> bool:
        """Apply one message. Returns False if it means nothing."""
        if rest == "events":
            return self._event(host, message, batch, seen)
        change = self._retained(host, rest, message)
        if isinstance(change, bool):
            return change
        batch.changes.append(change)
        return True

    def _retained(self, host: str, rest: str, message: Incoming) -> Change | bool:
        """What a retained topic of a host says. True: nothing new; False: it means nothing."""
        if rest == "inventory":
            return self._inventory(host, message)
        if rest == "status":
            return self._status(host, message)
        if rest == "info":
            info = payloads.decode(payloads.Info, message.payload)
            return (info is not None or not message.payload) and InfoChange(host, info, message.at, message.retain)
        kind, _, alert_id = rest.partition("/")
        if kind == "alerts" and alert_id:
            alert = payloads.decode(payloads.Alert, message.payload)
            return (alert is not None or not message.payload) and AlertChange(host, alert_id, alert, message.at)
        return True  # a topic of a newer agent

    def _status(self, host: str, message: Incoming) -> Change | bool:
        status = payloads.decode(payloads.Status, message.payload)
        if status is None:
            if message.payload:
                return False
            self._sessions.pop(host, None)
        elif status.state == "online":
            self._sessions[host] = status.session
        elif self._sessions.get(host, status.session) != status.session:
            return True  # the late will of an earlier session
        return StatusChange(host, status, message.at, message.retain)

    def _inventory(self, host: str, message: Incoming) -> Change | bool:
        if not message.payload:
            self._digests.pop(host, None)
            return InventoryChange(host, None, b"", b"", message.at, message.retain)
        digest = blake2b(message.payload, digest_size=DIGEST_BYTES).digest()
        if self._digests.get(host) == digest:
            # a retained one may be from long ago, so it is no sign of life
            return message.retain or Seen(host, message.at)
        text = _unpacked(message.payload)
        summary = summaries.read(text)
        if summary is None:
            return False
        self._digests[host] = digest
        return InventoryChange(host, summary, text, digest, message.at, message.retain)

    def _event(self, host: str, message: Incoming, batch: Batch, seen: set[str]) -> bool:
        if message.payload == PROBE:
            return True
        found = _numbered(host, message.payload)
        if found is None or not self._knows(found.source):
            return False
        if host not in seen and not message.retain:
            seen.add(host)
            batch.changes.append(Seen(host, message.at))
        self._take(found, batch)
        batch.streams[found.source] = self._streams[found.source]
        return found.data is not None or found.event.type not in payloads.EVENT_DATA

    def _knows(self, source: Source) -> bool:
        """Whether the stream is known now. The streams of one host are many only if it makes them up."""
        if source not in self._streams:
            if self._epochs[source[0]] >= MAX_EPOCHS:
                return False
            self._epochs[source[0]] += 1
            self._streams[source] = _EMPTY
        return True

    def _take(self, found: _Numbered, batch: Batch) -> None:
        """Take an event's number, after those that it says will never be sent: they make room for it."""
        if found.dropped and not self._take_dropped(found, batch):
            batch.refused += 1  # the rest of its ranges must come again
            return
        state, taken = streams.take(self._streams[found.source], found.seq, self._room(found.source[0]))
        if taken == "new":
            self._set(found.source, state)
            batch.events.append(StoredEvent(*found.source, found.seq, found.event, found.data))
        batch.duplicates += taken == "duplicate"
        batch.refused += taken == "no-room"

    def _take_dropped(self, found: _Numbered, batch: Batch) -> bool:
        """Take the numbers that will never be sent. Returns whether there was room for all."""
        state = self._streams[found.source]
        if streams.has(state, found.seq):
            return True
        state, gone = streams.take_ranges(state, found.dropped, self._room(found.source[0]))
        self._set(found.source, state)
        batch.gone.setdefault(found.source, []).extend(gone)
        return len(gone) == len(found.dropped)

    def _room(self, host: str) -> int:
        return streams.MAX_RANGES - self._ranges[host]

    def _set(self, source: Source, state: StreamState) -> None:
        before = self._streams.get(source, _EMPTY)
        self._ranges[source[0]] += len(state.missing) - len(before.missing)
        self._streams[source] = state


def _unpacked(payload: bytes) -> bytes:
    """The payload as JSON; nothing if it is damaged."""
    try:
        return payloads.unpacked(payload)
    except ValueError:
        return b""


def _numbered(host: str, payload: bytes) -> _Numbered | None:
    """An event of this host; None if it is none. A host may write only its own topics, so the topic says whose it is.

    Data that this version cannot read are None: the number has arrived, and the host would send it for ever.
    """
    event = payloads.decode(payloads.Event, payload)
    if event is None or event.source != f"torchkeeper/{host}":
        return None
    epoch, seq = event.data.get("epoch"), event.data.get("seq")
    if not isinstance(epoch, str) or not _EPOCH.fullmatch(epoch) or type(seq) is not int:
        return None
    if not 1 <= seq <= streams.LARGEST or event.id != f"{host}/{epoch}/{seq}":
        return None
    return _Numbered((host, epoch), seq, event, payloads.data_of(event))
