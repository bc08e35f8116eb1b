"""The contract of the outbox that the sender uses: rows in the order in which they were written."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event that waits to be sent."""

    seq: int  # increasing from 1, never reused within one epoch
    payload: bytes  # the encoded CloudEvent, ready to send
    kind: str  # the type of the event


@dataclass(frozen=True, slots=True)
class Watermark:
    """The number up to which the collector has all events."""

    seq: int
    back: bool  # whether retired rows above it are in the outbox again, as it is lower than before or the first


class UnknownSequence(Exception):
    """The collector has a number that this outbox never issued: the state was restored, or a copy of it runs too."""


class Outbox(Protocol):
    """A row stays in the outbox until it is retired, set aside, or dropped and listed in a `dropped` event."""

    async def unsent(self, after: int, limit: int) -> list[OutboxRow]:
        """The first `limit` rows in the outbox with seq > after, in order."""
        ...

    async def retire(self, up_to: int, deferred: Iterable[int] = ()) -> None:
        """Remove rows that the broker has: those with seq <= up_to except the deferred ones.

        Without effect once a collector has acknowledged.
        """
        ...

    async def watermark(self) -> int | None:
        """The number up to which the collector has acknowledged, also before a restart; None if it never has."""
        ...

    async def acknowledge(self, epoch: str, seq: int, now: datetime) -> Watermark | None:
        """Set the watermark: rows of this epoch with seq <= `seq` are retired, and all rows above are in the outbox.

        Returns None if the acknowledgement concerns another outbox, and raises UnknownSequence if the number was never
        issued. Then nothing changes.
        """
        ...

    async def quarantine(self, seq: int, error: str, now: datetime) -> None:
        """Keep a row that cannot be delivered for people, list it as dropped, and never send it again.

        Without effect on decisions and outcomes, which are never dropped.
        """
        ...

    async def declare_missing(self, now: datetime) -> None:
        """Add a `dropped` event for the numbers above the watermark that have no row and are not listed as dropped."""
        ...

    async def nearly_full(self) -> bool:
        """Whether rows are being dropped because the outbox is full, or soon will be."""
        ...

    @property
    def appended(self) -> asyncio.Event:
        """Set whenever a row is added or is in the outbox again, and by `wake`; the sender clears it."""
        ...

    def wake(self) -> None:
        """Set `appended`, so that the sender reads the rows again."""
        ...
