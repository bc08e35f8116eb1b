"""Outbox rows to the broker: in order, a bounded number in flight, sent again until the collector has them.

A row is retired once the broker has it, until a collector is heard; from then on only the collector's watermark
retires: a broker that is killed loses what it acknowledged.
"""

import asyncio
import contextlib
from collections import deque

import structlog

from agent.adapters import broker, database
from agent.adapters.clock import Clock
from agent.adapters.outbox import NeverGiven, Outbox, OutboxRow, Watermark
from agent.board import Board
from agent.suspicion import Suspicion

WINDOW = 20  # rows in flight; more gain nothing
STEADY = 10.0  # seconds that a connection must hold before it gets a row that ended others
DENIED_PAUSE = 60.0  # seconds until the broker is asked again whether it takes events now
PATIENCE = 30.0  # seconds without progress of the watermark, until rows are sent again; doubles each time
LONGEST_PATIENCE = 600.0  # seconds
POISON_ALERT = "outbox-poison"
DENIED_ALERT = "events-denied"
FULL_ALERT = "outbox-full"
BEHIND_ALERT = "outbox-behind"

log = structlog.get_logger()


class Sender:
    """Sends each row at least once, through any number of connections. Duplicates happen, gaps do not."""

    def __init__(self, outbox: Outbox, topic: str, board: Board, clock: Clock) -> None:
        self._outbox = outbox
        self._topic = topic
        self._board = board
        self._clock = clock
        self._flying: deque[tuple[OutboxRow, asyncio.Task[None]]] = deque()
        self._sent = 0  # the last row given to this connection
        self._suspicion = Suspicion(WINDOW)
        self._watermark: int | None = None  # None: no collector was ever heard, a PUBACK counts
        self._heard = 0  # how often the watermark rose
        self._asking = False  # whether the collector is to show that it lives before all is sent again
        self._again_from: int | None = None  # where to go on, if not after the last row
        self._doubted = False  # whether an acknowledgement was ignored, which is logged once

    async def run(self, connection: broker.Connection) -> None:
        """Send what is there and what is added, endlessly. Raises BrokerUnavailable; then call `broke`."""
        self._watermark = await self._outbox.watermark()
        while True:
            try:
                await self._stream(connection)
            except broker.PublishRefused as refused:
                # Not this row but the topic is denied: all wait, in order, until the ACL is mended.
                self._flying.clear()
                self._board.raise_alert(DENIED_ALERT, f"the broker denies events: {refused}", self._clock.now())
                await self._clock.sleep(DENIED_PAUSE)

    async def watch(self, connection: broker.Connection) -> None:
        """Send again what the collector says nothing about, ever more rarely, endlessly. Raises BrokerUnavailable."""
        patience = PATIENCE
        while True:
            await self._show_room()
            waits, heard = self._waits(), self._heard
            await self._clock.sleep(patience)
            if not waits or heard != self._heard:
                patience = PATIENCE
                continue
            if patience == PATIENCE:
                log.warning("the collector lacks events; sending again", action="resend", after=self._watermark)
            patience = min(2 * patience, LONGEST_PATIENCE)
            await self._ask(connection)

    async def show_waiting(self, connection: broker.Connection) -> None:
        """Send the first rows again that the collector lacks, as far as known; its answer brings the others."""
        if self._waits():
            await self._ask(connection)

    async def acknowledged(self, epoch: str, seq: int) -> None:
        """The collector's word: it has all events of an epoch up to a number. Nothing it says can lose a row."""
        try:
            found = await self._outbox.acknowledge(epoch, seq, self._clock.now())
        except database.StateFull:
            return  # it will say so again
        except NeverGiven:
            self._warn_of_reuse(seq)
        else:
            self._follow(found, epoch)

    def _follow(self, found: Watermark | None, epoch: str) -> None:
        if found is None:
            if not self._doubted:
                self._doubted = True
                log.warning("an acknowledgement of another epoch", action="ack-ignored", epoch=epoch)
            return
        if self._watermark is not None and found.seq > self._watermark:
            self._heard += 1
        self._watermark = found.seq
        if found.back or self._asking:
            self._send_again(found.seq)

    async def broke(self) -> None:
        """Tell that the connection was lost. A row that ends one connection after the other is set aside."""
        unanswered = [row.seq for row, task in self._flying if not _succeeded(task)]
        self._flying.clear()
        if unanswered and (breaks := self._suspicion.broke(unanswered[0])):
            await self._set_aside(unanswered[0], f"{breaks} connections ended over it")

    async def _show_room(self) -> None:
        """Raise or clear the alert that the outbox is full."""
        if await self._outbox.nearly_full():
            message = "the outbox is full: sweeps and gaps are given up, oldest first; is the collector there?"
            self._board.raise_alert(FULL_ALERT, message, self._clock.now())
        else:
            self._board.clear_alert(FULL_ALERT)

    async def _stream(self, connection: broker.Connection) -> None:
        self._send_again(0)
        self._flying.clear()
        if self._suspicion.wants_proof:
            await self._clock.sleep(STEADY)
        try:
            while True:
                self._outbox.appended.clear()
                if self._again_from is not None:
                    self._sent, self._again_from = self._again_from, None
                room = WINDOW - len(self._flying)
                self._launch(connection, await self._outbox.unsent(self._sent, room) if room > 0 else [])
                if self._flying:
                    await self._land()
                else:
                    await self._outbox.appended.wait()
        finally:
            for _, task in self._flying:
                task.cancel()
            await asyncio.gather(*(task for _, task in self._flying), return_exceptions=True)

    def _launch(self, connection: broker.Connection, rows: list[OutboxRow]) -> None:
        for row in rows:
            if self._flying and self._suspicion.alone(row.seq):
                return
            publishing = connection.publish(self._topic, row.payload)
            self._flying.append((row, asyncio.create_task(publishing, name=f"event-{row.seq}")))
            self._sent = row.seq

    async def _land(self) -> None:
        """Wait for the oldest row, and retire it with those behind it that are acknowledged as well."""
        await asyncio.wait({self._flying[0][1]})
        landed = 0
        while self._flying and self._flying[0][1].done():
            row, task = self._flying[0]
            if _succeeded(task):
                landed = row.seq
            elif not await self._is_refused(row, task):
                break
            self._flying.popleft()
            self._suspicion.answered(row.seq, taken=landed == row.seq)
        if landed:
            await self._took(landed)
        if self._flying and self._flying[0][1].done():
            self._flying[0][1].result()  # raises what ended it

    async def _is_refused(self, row: OutboxRow, task: asyncio.Task[None]) -> bool:
        """Whether the broker will never take this very row; it is then set aside."""
        error = task.exception()
        if not isinstance(error, broker.PublishRefused):
            return False
        if error.code == broker.NOT_AUTHORIZED:
            self._suspicion.answered(row.seq, taken=False)
            return False
        await self._set_aside(row.seq, str(error))
        return True

    async def _took(self, seq: int) -> None:
        """The broker has the rows up to here."""
        self._board.clear_alert(DENIED_ALERT)
        if self._watermark is None:
            with contextlib.suppress(database.StateFull):  # retired with the next one, or sent again
                await self._outbox.retire(seq)

    # The collector

    def _warn_of_reuse(self, seq: int) -> None:
        """From here on numbers may be used twice, and the collector takes the second for a duplicate."""
        message = (
            f"the collector has events up to number {seq}, more than this state ever gave: it was put back from an"
            " older copy, or another agent runs on a copy; stop the agent, move state.db aside and start it again"
        )
        self._board.raise_alert(BEHIND_ALERT, message, self._clock.now(), "critical")

    def _waits(self) -> bool:
        """Whether the collector has yet to say that it has what was sent."""
        return self._watermark is not None and self._sent > self._watermark

    async def _ask(self, connection: broker.Connection) -> None:
        """Send the first rows again; the collector, where it lives, answers, and then the others follow."""
        with contextlib.suppress(database.StateFull):
            await self._outbox.name_missing(self._clock.now())
        self._asking = True
        with contextlib.suppress(broker.PublishRefused):  # `_stream` finds out as well
            for row in await self._outbox.unsent(self._watermark or 0, WINDOW):
                await connection.publish(self._topic, row.payload)

    def _send_again(self, after: int) -> None:
        self._asking = False
        self._again_from = after
        self._outbox.appended.set()

    async def _set_aside(self, seq: int, error: str) -> None:
        with contextlib.suppress(database.StateFull):
            await self._outbox.set_aside(seq, error, self._clock.now())
        log.warning("an event cannot be delivered and is set aside", action="set-aside", seq=seq, error=error)
        message = f"events cannot be delivered and stay on the host; the last is number {seq}: {error}"
        self._board.raise_alert(POISON_ALERT, message, self._clock.now())


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
