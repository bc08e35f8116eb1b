"""Reads the fleet's messages from the broker into a view, once or continuously. Publishes nothing."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import tenacity

from agent.adapters import broker
from agent.adapters.clock import Clock
from agent.fleet.view import ALL, Detail, FleetView

QUIET = 0.3  # seconds without a message, after which all retained messages have arrived
LONGEST_SETTLE = 3.0  # seconds to wait for that; a large fleet sends messages all the time
TURNS = 20  # of the event loop; the reader needs three for what has arrived
BATCH, BATCH_BYTES = 500, 4_000_000  # messages that are taken at once
RECONNECT_BACKOFF_MAX = 15.0  # seconds between two attempts to connect

# Events last: mosquitto sends the retained messages of a filter after its SUBACK and before the next one. So the SUBACK
# for events, which are not retained, comes after all retained messages.
TOPICS = ("status", "info", "inventory", "alerts/+", "events")


async def snapshot(
    connect: broker.ConnectCollector,
    prefix: str,
    clock: Clock,
    quiet: float = QUIET,
    longest: float = LONGEST_SETTLE,
    *,
    details: Collection[Detail] = ALL,
) -> FleetView:
    """The present retained messages as a view. `quiet`, `longest`: seconds without a message, and in all.

    `details`: what the view keeps of each inventory.

    Raises BrokerUnavailable, LoginRefused and SubscribeRefused.
    """
    view = FleetView(prefix, details)
    async with _reading(connect, prefix, view, clock, quiet, longest):
        return view


class Feed:
    """A view that follows the fleet. `view` is None until the first one has all retained messages."""

    def __init__(
        self,
        connect: broker.ConnectCollector,
        prefix: str,
        clock: Clock,
        quiet: float = QUIET,
        *,
        details: Collection[Detail] = ALL,
    ) -> None:
        self._connect = connect
        self._prefix = prefix
        self._details = details
        self._clock = clock
        self._quiet = quiet
        self.view: FleetView | None = None
        self.error = ""  # why the view is not up to date; "" while it is

    async def run(self) -> None:
        """Keep the view up to date, endlessly. Raises only errors of the first connection; later ones are retried."""
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(self._is_transient),
            wait=tenacity.wait_random_exponential(min=0.2, max=RECONNECT_BACKOFF_MAX),
            sleep=self._clock.sleep,
            reraise=True,
        ):
            with attempt:
                await self._follow(attempt.retry_state)

    async def _follow(self, state: tenacity.RetryCallState) -> None:
        view = self.view.renewed() if self.view else FleetView(self._prefix, self._details)
        async with _reading(self._connect, self._prefix, view, self._clock, self._quiet) as reader:
            self.view, self.error = view, ""
            state.attempt_number = 1
            await reader

    def _is_transient(self, error: BaseException) -> bool:
        if self.view is None or not isinstance(error, broker.BrokerUnavailable):
            return False
        self.error = str(error)
        return True


@asynccontextmanager
async def _reading(
    connect: broker.ConnectCollector,
    prefix: str,
    view: FleetView,
    clock: Clock,
    quiet: float,
    longest: float = LONGEST_SETTLE,
) -> AsyncIterator[asyncio.Task[None]]:
    """A connection that fills the view. The block begins when the retained messages have arrived."""
    async with connect(None) as connection:
        reader = asyncio.create_task(_read(connection, view, clock), name="fleet-read")
        try:
            for topic in TOPICS:
                # what is retained comes again at the next connection, so acknowledging it would only take time
                await connection.subscribe(f"{prefix}/v1/hosts/+/{topic}", qos=1 if topic == "events" else 0)
            await _settle(reader, view, quiet, longest)
            yield reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


async def _read(connection: broker.CollectorConnection, view: FleetView, clock: Clock) -> None:
    while True:
        taken = await connection.take(BATCH, BATCH_BYTES)
        for message in taken:
            view.apply(message.topic, message.payload, clock.now(), retained=message.retain)
        connection.acknowledge(taken)


async def _settle(reader: asyncio.Task[None], view: FleetView, quiet: float, longest: float) -> None:
    """Wait until no more messages arrive. Other brokers than mosquitto do not guarantee the order described above."""
    end = asyncio.get_running_loop().time() + longest
    while asyncio.get_running_loop().time() < end:
        before = view.applied
        await asyncio.wait({reader}, timeout=quiet)
        for _ in range(TURNS):  # on a busy machine the time may pass before the reader runs
            await asyncio.sleep(0)
        if reader.done():
            await reader  # raises its error
        if view.applied == before:
            return
