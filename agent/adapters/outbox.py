"""The outbox as its sender sees it: rows in the order in which they were written."""

import asyncio
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One event that waits to be sent."""

    seq: int  # rising, from 1, never used again within one epoch
    payload: bytes  # the encoded CloudEvent, ready to send


class Outbox(Protocol):
    """A row is in the outbox until it is retired or set aside."""

    async def unsent(self, after: int, limit: int) -> list[OutboxRow]:
        """The first `limit` rows in the outbox with seq > after, in order."""
        ...

    async def retire(self, up_to: int) -> None:
        """The broker has all rows with seq <= up_to."""
        ...

    async def set_aside(self, seq: int, error: str) -> None:
        """This row cannot be delivered; keep it for people, and never send it again."""
        ...

    @property
    def appended(self) -> asyncio.Event:
        """Set whenever a row is added; the sender clears it."""
        ...
