"""One viewer of the stream, and what all of them are told of the monitor itself."""

import asyncio

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from agent.adapters.clock import Clock
from agent.core import units
from agent.fleet.web import documents, events

BEHIND_EVERY = 1.0  # seconds between two reports that say only how many events wait


class Viewer:
    """Writes to one connection, and waits while the viewer does not read."""

    def __init__(self, request: web.Request, response: EventSourceResponse, timeout: float) -> None:
        self._request = request
        self._response = response
        self._timeout = timeout

    def is_connected(self) -> bool:
        return self._response.is_connected() and self._request.transport is not None

    async def write(self, body: bytes) -> None:
        """Write events. Raises ConnectionError if the viewer is gone, or takes nothing until the time-out."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._response.write(body)
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()  # an orderly end would wait for the viewer to read
            raise ConnectionAbortedError("the viewer does not read") from None
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            # The ping waits for the same buffer as this, and aiohttp cancels both when the ping's time is over.
            raise ConnectionAbortedError("the viewer does not read") from None


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class MonitorNews:
    """What works in the monitor itself, as the last event said it."""

    def __init__(self, health: documents.Health, clock: Clock) -> None:
        self.number = 0  # of the event
        self._clock = clock
        self._health = health
        self._since = clock.now()  # of the broker's state
        self._told_at = clock.monotonic()

    @property
    def broker(self) -> str:
        return self._health.broker

    @property
    def is_well(self) -> bool:
        return self._state(self._health) == ("connected", "working", None) and not self._health.behind_events

    @property
    def event(self) -> bytes:
        fields = {
            "broker": self._health.broker,
            "since": units.format_time(self._since),
            "database": self._health.database,
            "detail": self._health.error or "",
            "behind_events": self._health.behind_events,
        }
        return events.event("monitor", events.as_json(fields))

    def look(self, health: documents.Health) -> bool:
        """Compare with the last event. Returns whether there is a new one."""
        before, now = self._health, self._clock.monotonic()
        is_behind = health.behind_events != before.behind_events and now - self._told_at >= BEHIND_EVERY
        if self._state(health) == self._state(before) and not is_behind:
            return False
        if health.broker != before.broker:
            self._since = self._clock.now()
        self._health, self._told_at = health, now
        self.number += 1
        return True

    @staticmethod
    def _state(health: documents.Health) -> tuple[str, str, str | None]:
        return health.broker, health.database, health.error
