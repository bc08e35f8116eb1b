"""Documents that everybody who asks within some seconds shares: two hundred pages cost as much as one."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from agent.adapters.clock import Clock
from agent.fleet.web.documents import Document

MOST = 64  # documents; whoever asks with ever new parameters replaces the ones that were not asked for the longest


@dataclass
class _Slot:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    document: Document | None = None
    made_at: float = 0.0


class SharedDocuments:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: OrderedDict[str, _Slot] = OrderedDict()

    async def get(self, key: str, fresh: float, make: Callable[[], Awaitable[Document]]) -> Document:
        """The document of this key, made at most `fresh` seconds ago. Several who ask at once wait for one."""
        slot = self._slots.setdefault(key, _Slot())
        self._slots.move_to_end(key)
        while len(self._slots) > MOST:
            self._slots.popitem(last=False)
        async with slot.lock:
            if slot.document is None or self._clock.monotonic() - slot.made_at > fresh:
                slot.document, slot.made_at = await make(), self._clock.monotonic()
            return slot.document


SHARED = web.AppKey("shared", SharedDocuments)
