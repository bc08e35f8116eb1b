"""Publishes everything again whenever a collector starts (publishes its birth).

A new collector does not get all retained messages from every broker: RabbitMQ stores them per node, and delivers none
to a wildcard subscription. Such a collector would know nothing about a host until something there changes.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable

from agent.adapters.broker import Message
from agent.adapters.clock import Clock
from agent.core.protocol import payloads

LONGEST_JITTER = 5.0  # seconds after a birth, so that the hosts of a fleet do not all answer at once
BETWEEN = 10.0  # seconds at least from one answer to the next, however many births there are
MOST = 100  # collectors whose last birth is stored


class Collectors:
    """Detects new births, and decides when to answer them."""

    def __init__(self, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        """`jitter` returns a number from 0 to 1: a fraction of LONGEST_JITTER."""
        self._clock = clock
        self._jitter = jitter
        self._sessions: OrderedDict[str, int] = OrderedDict()  # collector -> session of its last birth
        self._birth_pending = asyncio.Event()
        self._not_before = 0.0

    def receive_status(self, collector: str, message: Message) -> None:
        """Record a collector's status. A retained one is older than this connection, so it needs no answer."""
        status = payloads.decode(payloads.CollectorStatus, message.payload)
        if status is None or status.state != "online" or self._sessions.get(collector) == status.session:
            return
        self._sessions[collector] = status.session
        if len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        if not message.retain:
            self._birth_pending.set()

    async def wait_for_birth(self) -> None:
        """Wait for a birth, and then until everything may be published again."""
        await self._birth_pending.wait()
        wait = max(self._jitter() * LONGEST_JITTER, self._not_before - self._clock.monotonic())
        await self._clock.sleep(wait)
        self._birth_pending.clear()  # the same answer serves collectors that were born in the meantime
        self._not_before = self._clock.monotonic() + BETWEEN

    def mark_answered(self) -> None:
        """Forget pending births: a new connection publishes everything anyway."""
        self._birth_pending.clear()
