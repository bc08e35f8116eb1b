"""The outbox as its sender sees it: rows in the order in which they were written."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event that waits to be sent."""

    seq: int  # rising, from 1, never used again within one epoch
    payload: bytes  # the encoded CloudEvent, ready to send
    kind: str  # the type of the event


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far the collector has all events."""

    seq: int
    back: bool  # rows above it that were retired wait again: it fell, or is the first


class UnknownSequence(Exception):
    """The collector has a number that this outbox never gave: its state was put back, or a copy of it runs as well."""


class Outbox(Protocol):
    """A row is in the outbox until it is retired, set aside, or given up and named by a `dropped` event."""

    async def unsent(self, after: int, limit: int) -> list[OutboxRow]:
        """The first `limit` rows in the outbox with seq > after, in order."""
        ...

    async def retire(self, up_to: int, deferred: Iterable[int] = ()) -> None:
        """The broker has all rows with seq <= up_to but the deferred ones. No effect once the collector was heard."""
        ...

    async def watermark(self) -> int | None:
        """The collector's last word that counted, also from before a restart; None where there was none."""
        ...

    async def acknowledge(self, epoch: str, seq: int, now: datetime) -> Watermark | None:
        """The collector has all rows of an epoch with seq <= `seq`: those are retired, and those above are not.

        None where the word is not about this outbox; UnknownSequence where it cannot be true. Then nothing changes.
        """
        ...

    async def quarantine(self, seq: int, error: str, now: datetime) -> None:
        """This row cannot be delivered; keep it for people, name it as dropped, and never send it again.

        Without effect on a decision or outcome: those are never given up.
        """
        ...

    async def declare_missing(self, now: datetime) -> None:
        """Add a `dropped` event for numbers above the watermark that can never arrive and are not named yet."""
        ...

    async def nearly_full(self) -> bool:
        """Whether rows are given up for want of room, or soon will be."""
        ...

    @property
    def appended(self) -> asyncio.Event:
        """Set whenever a row is added or comes back, and by `wake`; the sender clears it."""
        ...

    def wake(self) -> None:
        """Set `appended`: the rows are to be read again."""
        ...
