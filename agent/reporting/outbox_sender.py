"""Outbox rows to the broker: in order, a bounded number in flight, sent again until the collector has them.

`confirmation` says which acknowledgement removes a row from the outbox, `rejection` what to do with a row that the
broker does not accept.
"""

import asyncio
import contextlib
from collections import deque

import structlog

from agent import aio
from agent.adapters import broker
from agent.adapters.clock import Clock
from agent.adapters.outbox import Outbox, OutboxRow
from agent.adapters.sqlite import database
from agent.reporting.confirmation import Confirmation
from agent.reporting.host_report import HostReport
from agent.reporting.rejection import Rejections
from agent.reporting.timing import ReportingTiming

WINDOW = 20  # rows in flight; more gain nothing
FULL_ALERT = "outbox-full"

log = structlog.get_logger()


class OutboxSender:
    """Sends each row at least once, through any number of connections. Duplicates happen, gaps do not."""

    def __init__(
        self,
        outbox: Outbox,
        topic: str,
        host_report: HostReport,
        clock: Clock,
        *,
        confirmation: Confirmation,
        rejections: Rejections,
        timing: ReportingTiming = ReportingTiming(),
    ) -> None:
        self._outbox = outbox
        self._topic = topic
        self._host_report = host_report
        self._clock = clock
        self._timing = timing
        self._in_flight: deque[tuple[OutboxRow, asyncio.Task[None]]] = deque()
        self._sent = 0  # the last row given to this connection
        self._again_from: int | None = None  # where to go on, if not after the last row
        self._rejections = rejections
        self._deferred = rejections.deferred
        self.confirmation = confirmation
        confirmation.send_again = self._send_again

    async def run(self, connection: broker.Connection) -> None:
        """Send what is there and what is added, endlessly. Raises BrokerUnavailable; then call `broke`."""
        await self.confirmation.begin()
        while True:
            try:
                await self._rejections.probe(connection)
                await self._stream(connection)
            except broker.PublishRefused:
                self._in_flight.clear()  # all rows are sent again in order

    async def resend_loop(self, connection: broker.Connection) -> None:
        """Send again what the collector says nothing about, ever more rarely, endlessly. Raises BrokerUnavailable."""
        patience = self._timing.resend_after
        while True:
            await self._show_room()
            behind, progress = self.confirmation.is_behind(), self.confirmation.progress
            await self._clock.sleep(patience)
            if not behind or progress != self.confirmation.progress:
                patience = self._timing.resend_after
                continue
            if patience == self._timing.resend_after:
                after = self.confirmation.watermark
                log.warning("the collector lacks events; sending again", action="resend", after=after)
            patience = min(2 * patience, self._timing.resend_backoff_max)
            await self._ask_the_collector(connection)

    async def show_waiting(self, connection: broker.Connection) -> None:
        """Send the first rows again that the collector lacks, as far as known; its answer brings the others."""
        if self.confirmation.is_behind():
            await self._ask_the_collector(connection)

    async def connection_lost(self) -> bool:
        """The connection was lost. Returns whether a message of this sender probably ended it."""
        unanswered = [row for row, task in self._in_flight if not _succeeded(task)]
        self._in_flight.clear()
        return await self._rejections.connection_ended(unanswered)

    async def _show_room(self) -> None:
        """Raise or clear the alert that the outbox is full."""
        if await self._outbox.nearly_full():
            message = "the outbox is full: sweeps and gaps are given up, oldest first; is the collector there?"
            self._host_report.raise_alert(FULL_ALERT, message, self._clock.now())
        else:
            self._host_report.clear_alert(FULL_ALERT)

    async def _stream(self, connection: broker.Connection) -> None:
        self._send_again(0)
        self._in_flight.clear()
        try:
            while True:
                self._outbox.appended.clear()
                if self._again_from is not None:
                    self._sent, self._again_from = self._again_from, None
                room = WINDOW - len(self._in_flight)
                rows = await self._outbox.unsent(self._sent, room) if room > 0 else []
                self._send(connection, rows)
                if self._in_flight:
                    await self._await_acks()
                elif not rows:
                    await self._rest(connection)
        finally:
            for _, task in self._in_flight:
                task.cancel()
            await asyncio.gather(*(task for _, task in self._in_flight), return_exceptions=True)

    def _send(self, connection: broker.Connection, rows: list[OutboxRow]) -> None:
        for row in rows:
            if row.seq not in self._deferred:
                if self._in_flight and self._rejections.alone(row):
                    return
                self._publish(connection, row)
            self._sent = row.seq

    def _publish(self, connection: broker.Connection, row: OutboxRow) -> None:
        publishing = connection.publish(self._topic, self._deferred.payload(row))
        self._in_flight.append((row, asyncio.create_task(publishing, name=f"event-{row.seq}")))
        self.confirmation.sent(row.seq)

    async def _await_acks(self) -> None:
        """Wait for the oldest row, and for those behind it that are answered as well."""
        await asyncio.wait({self._in_flight[0][1]})
        landed = 0
        while self._in_flight and self._in_flight[0][1].done():
            row, task = self._in_flight[0]
            error = task.exception()
            if error is None:
                landed = row.seq
                if self._rejections.accepted(row):
                    self._send_again(row.seq)  # a collector that takes rows only in order has ignored those after it
            elif not isinstance(error, broker.PublishRefused) or not await self._rejections.refused(row, error):
                break
            self._in_flight.popleft()
        if landed:
            await self._confirm_delivered(landed)
        if self._in_flight and self._in_flight[0][1].done():
            self._in_flight[0][1].result()  # raises what ended it

    async def _confirm_delivered(self, seq: int) -> None:
        """The broker has all rows up to here but the deferred ones."""
        if await self.confirmation.broker_acknowledged(seq, self._deferred.numbers):
            self._deferred.forget(seq)
        else:
            self._deferred.forget(self.confirmation.watermark or 0)

    async def _rest(self, connection: broker.Connection) -> None:
        """All rows are sent: wait for a new one, or until a deferred row may be tried again, alone."""
        deferred = self._deferred.next()
        if deferred is None:
            await self._outbox.appended.wait()
            return
        seq, not_before = deferred
        left = not_before - self._clock.monotonic()
        if left > 0:
            await aio.first(self._outbox.appended.wait(), self._clock.sleep(left))
            return
        found = await self._outbox.unsent(seq - 1, 1)
        if found and found[0].seq == seq:
            self._publish(connection, found[0])
        else:
            self._rejections.settle(seq)

    def _send_again(self, after: int) -> None:
        self._again_from = after
        self._outbox.wake()

    async def _ask_the_collector(self, connection: broker.Connection) -> None:
        """Send the first rows again; the collector, where it lives, answers, and then the others follow."""
        if self._rejections.needs_probe:
            return
        with contextlib.suppress(database.StateFull):
            await self._outbox.declare_missing(self._clock.now())
        self.confirmation.asking = True
        with contextlib.suppress(broker.PublishRefused):  # `_stream` finds out as well
            for row in await self._outbox.unsent(self.confirmation.watermark or 0, WINDOW):
                if row.seq not in self._deferred:
                    await connection.publish(self._topic, self._deferred.payload(row))


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
