"""The collectors that come: when one of them is born, everything is published again.

A collector that starts on a broker without its retained messages (RabbitMQ keeps them per node, and gives none for a
wildcard) would know nothing of a host until that changes.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable

from agent.adapters.broker import Message
from agent.adapters.clock import Clock
from agent.core.protocol import payloads

LONGEST_JITTER = 5.0  # seconds after a birth, so that a whole fleet does not answer at once
BETWEEN = 10.0  # seconds from one answer to the next, however many are born
MOST = 100  # collectors whose last birth is remembered


class Collectors:
    """Which births are new, and when they are answered."""

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        """`jitter` is from 0 to 1, as a share of the longest."""
        self._clock = clock
        self._jitter = jitter
        self._sessions: OrderedDict[str, int] = OrderedDict()  # collector -> of its last birth
        self._asked = asyncio.Event()
        self._not_before = 0.0

    def heard(self, collector: str, message: Message) -> None:
        """A collector's status. One that is retained is from before this connection, whose birth it has heard."""
        status = payloads.decode(payloads.CollectorStatus, message.payload)
        if status is None or status.state != "online" or self._sessions.get(collector) == status.session:
            return
        self._sessions[collector] = status.session
        if len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        if not message.retain:
            self._asked.set()

    async def asked(self) -> None:
        """Return when everything is to be published again."""
        await self._asked.wait()
        wait = max(self._jitter() * LONGEST_JITTER, self._not_before - self._clock.monotonic())
        await self._clock.sleep(wait)
        self._asked.clear()  # also what was born meanwhile is answered now
        self._not_before = self._clock.monotonic() + BETWEEN

    def answered(self) -> None:
        """A new connection publishes everything anyway."""
        self._asked.clear()
