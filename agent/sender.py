"""Outbox rows to the broker: in order, a bounded number in flight, each retired once it is acknowledged."""

import asyncio
from collections import deque

import structlog

from agent.adapters import broker
from agent.adapters.clock import Clock
from agent.adapters.outbox import Outbox, OutboxRow
from agent.board import Board

WINDOW = 20  # rows in flight; more gain nothing
BREAKS = 5  # connections that end over one row, before it is set aside
DENIED_PAUSE = 60.0  # seconds until the broker is asked again whether it takes events now
POISON_ALERT = "outbox-poison"
DENIED_ALERT = "events-denied"

log = structlog.get_logger()


class Sender:
    """Sends each row at least once, through any number of connections. Duplicates happen, gaps do not."""

    def __init__(self, outbox: Outbox, topic: str, board: Board, clock: Clock) -> None:
        self._outbox = outbox
        self._topic = topic
        self._board = board
        self._clock = clock
        self._flying: deque[tuple[OutboxRow, asyncio.Task[None]]] = deque()
        self._single = 0  # rows to send one by one
        self._suspect = (0, 0)  # seq, and how many connections ended over it

    async def run(self, connection: broker.Connection) -> None:
        """Send what is there and what is added, endlessly. Raises BrokerUnavailable; then call `broke`."""
        while True:
            try:
                await self._stream(connection)
            except broker.PublishRefused as refused:
                # Not this row but the topic is denied: all wait, in order, until the ACL is mended.
                self._flying.clear()
                self._board.raise_alert(DENIED_ALERT, f"the broker denies events: {refused}", self._clock.now())
                await self._clock.sleep(DENIED_PAUSE)

    async def broke(self) -> None:
        """Tell that the connection was lost. A row that ends one connection after the other is set aside."""
        if not self._flying:
            return
        first = self._flying[0][0].seq
        self._flying.clear()
        self._single = WINDOW  # one by one, so that the next break shows which row it was
        self._suspect = (first, self._suspect[1] + 1 if self._suspect[0] == first else 1)
        if self._suspect[1] >= BREAKS:
            await self._set_aside(first, f"{BREAKS} connections ended over it")

    async def _stream(self, connection: broker.Connection) -> None:
        last = 0
        self._flying.clear()
        try:
            while True:
                self._outbox.appended.clear()
                room = (1 if self._single else WINDOW) - len(self._flying)
                for row in await self._outbox.unsent(last, room) if room > 0 else ():
                    self._launch(connection, row)
                    last = row.seq
                if self._flying:
                    await self._land()
                else:
                    await self._outbox.appended.wait()
        finally:
            for _, task in self._flying:
                task.cancel()
            await asyncio.gather(*(task for _, task in self._flying), return_exceptions=True)

    def _launch(self, connection: broker.Connection, row: OutboxRow) -> None:
        publishing = connection.publish(self._topic, row.payload)
        self._flying.append((row, asyncio.create_task(publishing, name=f"event-{row.seq}")))

    async def _land(self) -> None:
        """Wait for the oldest row, and retire it with those behind it that are acknowledged as well."""
        await asyncio.wait({self._flying[0][1]})
        retired = 0
        while self._flying and self._flying[0][1].done():
            row, task = self._flying[0]
            error = task.exception()
            if isinstance(error, broker.PublishRefused) and error.code != broker.NOT_AUTHORIZED:
                await self._set_aside(row.seq, str(error))
            elif error is not None:
                break
            else:
                retired = row.seq
            self._flying.popleft()
            self._single = max(0, self._single - 1)
        if retired:
            await self._outbox.retire(retired)
            self._board.clear_alert(DENIED_ALERT)
        if self._flying and self._flying[0][1].done():
            self._flying[0][1].result()  # raises what ended it

    async def _set_aside(self, seq: int, error: str) -> None:
        await self._outbox.set_aside(seq, error)
        log.warning("an event cannot be delivered and is set aside", action="set-aside", seq=seq, error=error)
        message = f"events cannot be delivered and stay on the host; the last is number {seq}: {error}"
        self._board.raise_alert(POISON_ALERT, message, self._clock.now())
