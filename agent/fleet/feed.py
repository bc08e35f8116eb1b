"""From the broker into a view: once, or for as long as somebody watches. Reads only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import tenacity

from agent.adapters import broker
from agent.adapters.clock import Clock
from agent.fleet.view import FleetView

QUIET = 0.3  # seconds without a message, after which what was retained has come
LONGEST_SETTLE = 3.0  # seconds; a large fleet is never quiet
TURNS = 20  # of the event loop; one message takes three
LONGEST_WAIT = 15.0  # seconds between two attempts to connect

# Events last: they are not retained, so the answer to this subscription follows all that is. mosquitto sends
# the retained messages of a filter after its own SUBACK, and before that of the next filter.
_TOPICS = ("status", "info", "inventory", "alerts/+", "events")


async def snapshot(
    connect: broker.Connect,
    prefix: str,
    clock: Clock,
    quiet: float = QUIET,
    longest: float = LONGEST_SETTLE,
) -> FleetView:
    """What the broker has retained now. `quiet`, `longest`: seconds without a message, and in all.

    Raises BrokerUnavailable, LoginRefused and SubscribeRefused.
    """
    view = FleetView(prefix)
    async with _reading(connect, prefix, view, clock, quiet, longest):
        return view


class Feed:
    """A view that follows the fleet. `view` is None until the first one is complete."""

    def __init__(self, connect: broker.Connect, prefix: str, clock: Clock, quiet: float = QUIET) -> None:
        self._connect = connect
        self._prefix = prefix
        self._clock = clock
        self._quiet = quiet
        self.view: FleetView | None = None
        self.trouble = ""  # why the view is old; "" while it is not

    async def run(self) -> None:
        """Endless, over any number of connections. Raises only what the first connection raises."""
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(self._is_weather),
            wait=tenacity.wait_random_exponential(min=0.2, max=LONGEST_WAIT),
            sleep=self._clock.sleep,
            reraise=True,
        ):
            with attempt:
                await self._follow(attempt.retry_state)

    async def _follow(self, state: tenacity.RetryCallState) -> None:
        view = self.view.renewed() if self.view else FleetView(self._prefix)
        async with _reading(self._connect, self._prefix, view, self._clock, self._quiet) as reader:
            self.view, self.trouble = view, ""
            state.attempt_number = 1
            await reader

    def _is_weather(self, error: BaseException) -> bool:
        if self.view is None or not isinstance(error, broker.BrokerUnavailable):
            return False
        self.trouble = str(error)
        return True


@asynccontextmanager
async def _reading(
    connect: broker.Connect,
    prefix: str,
    view: FleetView,
    clock: Clock,
    quiet: float,
    longest: float = LONGEST_SETTLE,
) -> AsyncIterator[asyncio.Task[None]]:
    """A connection that fills the view; the block begins once what was retained has come."""
    async with connect(None) as connection:
        reader = asyncio.create_task(_read(connection, view, clock), name="fleet-read")
        try:
            for topic in _TOPICS:
                await connection.subscribe(f"{prefix}/v1/hosts/+/{topic}")
            await _settle(reader, view, quiet, longest)
            yield reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


async def _read(connection: broker.Connection, view: FleetView, clock: Clock) -> None:
    async for message in connection.messages():
        view.apply(message.topic, message.payload, clock.now(), retained=message.retain)


async def _settle(reader: asyncio.Task[None], view: FleetView, quiet: float, longest: float) -> None:
    """Wait until no more comes. Other brokers than mosquitto promise no order of answers and messages."""
    end = asyncio.get_running_loop().time() + longest
    while asyncio.get_running_loop().time() < end:
        before = view.applied
        await asyncio.wait({reader}, timeout=quiet)
        for _ in range(TURNS):  # on a busy machine time passes before the reader has had its turn
            await asyncio.sleep(0)
        if reader.done():
            await reader  # raises why
        if view.applied == before:
            return
