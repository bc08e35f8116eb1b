"""Sends outbox rows to the broker: in order, a bounded number in flight, and again until they are acknowledged.

`confirmation` decides which acknowledgement removes a row from the outbox, `rejection` what to do with a row that the
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
from agent.adapters.state_errors import StateFull
from agent.core.protocol.alerts import AlertId
from agent.reporting.confirmation import Confirmation
from agent.reporting.host_report import HostReport
from agent.reporting.rejection import Rejections
from agent.reporting.timing import ReportingTiming

WINDOW = 20  # rows in flight; more are not faster

log = structlog.get_logger()


class OutboxSender:
    """Sends each row at least once, over any number of connections. Duplicates are possible, lost rows are not."""

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
        self._sent = 0  # the last row sent on this connection
        self._again_from: int | None = None  # send again all rows after this one; None: continue after the last row
        self._rejections = rejections
        self._deferred = rejections.deferred
        self.confirmation = confirmation
        confirmation.send_again = self._send_again

    async def run(self, connection: broker.Connection) -> None:
        """Send all present and future rows, endlessly. Raises BrokerUnavailable; then call `connection_lost`."""
        await self.confirmation.begin()
        while True:
            try:
                await self._rejections.probe(connection)
                await self._stream(connection)
            except broker.PublishRefused:
                self._in_flight.clear()  # all rows are sent again in order

    async def resend_loop(self, connection: broker.Connection) -> None:
        """Send unacknowledged rows again, after longer and longer pauses, endlessly. Raises BrokerUnavailable."""
        wait = self._timing.resend_after
        while True:
            await self._show_outbox_full()
            behind, progress = self.confirmation.is_behind(), self.confirmation.progress
            await self._clock.sleep(wait)
            if not behind or progress != self.confirmation.progress:
                wait = self._timing.resend_after
                continue
            if wait == self._timing.resend_after:
                after = self.confirmation.watermark
                log.warning("collector has not acknowledged events; resending", action="resend", after=after)
            wait = min(2 * wait, self._timing.resend_backoff_max)
            await self._probe_collector(connection)

    async def show_waiting(self, connection: broker.Connection) -> None:
        """Send the first unacknowledged rows again; once the collector acknowledges them, the others follow."""
        if self.confirmation.is_behind():
            await self._probe_collector(connection)

    def connection_closed(self) -> None:
        """Record that the agent itself closed the connection, so that no message is to blame for its end."""
        self._in_flight.clear()
        self._rejections.connection_closed()

    async def connection_lost(self) -> bool:
        """Record that the connection was lost. Returns whether a message of this sender probably ended it."""
        unanswered = [row for row, task in self._in_flight if not _succeeded(task)]
        self._in_flight.clear()
        return await self._rejections.connection_ended(unanswered)

    async def _show_outbox_full(self) -> None:
        """Raise or clear the alert that the outbox is full."""
        if await self._outbox.nearly_full():
            message = "the outbox is full: the oldest sweep and gap events are dropped; does the collector run?"
            self._host_report.raise_alert(AlertId.OUTBOX_FULL, message, self._clock.now())
        else:
            self._host_report.clear_alert(AlertId.OUTBOX_FULL)

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
                    await self._wait_for_rows(connection)
        finally:
            for _, task in self._in_flight:
                task.cancel()
            await asyncio.gather(*(task for _, task in self._in_flight), return_exceptions=True)

    def _send(self, connection: broker.Connection, rows: list[OutboxRow]) -> None:
        for row in rows:
            if row.seq not in self._deferred:
                if self._in_flight and self._rejections.must_isolate(row):
                    return
                self._publish(connection, row)
            self._sent = row.seq

    def _publish(self, connection: broker.Connection, row: OutboxRow) -> None:
        publishing = connection.publish(self._topic, self._deferred.payload(row))
        self._in_flight.append((row, asyncio.create_task(publishing, name=f"event-{row.seq}")))
        self.confirmation.sent(row.seq)

    async def _await_acks(self) -> None:
        """Wait until the oldest row is answered, then handle it and the rows after it that are answered too."""
        await asyncio.wait({self._in_flight[0][1]})
        delivered = 0
        while self._in_flight and self._in_flight[0][1].done():
            row, task = self._in_flight[0]
            error = task.exception()
            if error is None:
                delivered = row.seq
                if self._rejections.accepted(row):
                    self._send_again(row.seq)  # a collector that requires the order has ignored the rows after it
            elif not isinstance(error, broker.PublishRefused) or not await self._rejections.refused(row, error):
                break
            self._in_flight.popleft()
        if delivered:
            await self._confirm_delivered(delivered)
        if self._in_flight and self._in_flight[0][1].done():
            self._in_flight[0][1].result()  # raises its exception

    async def _confirm_delivered(self, seq: int) -> None:
        """Record that the broker has all rows up to `seq` except the deferred ones."""
        if await self.confirmation.broker_acknowledged(seq, self._deferred.numbers):
            self._deferred.forget(seq)
        else:
            self._deferred.forget(self.confirmation.watermark or 0)

    async def _wait_for_rows(self, connection: broker.Connection) -> None:
        """Wait for a new row, or until a deferred row may be tried again alone. Called when all rows are sent."""
        deferred = self._deferred.next()
        if deferred is None:
            await self._outbox.appended.wait()
            return
        seq, not_before = deferred
        left = not_before - self._clock.monotonic()
        if left > 0:
            await aio.first(self._outbox.appended.wait(), self._clock.sleep(left))
            return
        rows = await self._outbox.unsent(seq - 1, 1)
        if rows and rows[0].seq == seq:
            self._publish(connection, rows[0])
        else:
            self._rejections.settle(seq)

    def _send_again(self, after: int) -> None:
        self._again_from = after
        self._outbox.wake()

    async def _probe_collector(self, connection: broker.Connection) -> None:
        """Send the first unacknowledged rows again; the acknowledgement of a live collector starts the others."""
        if self._rejections.needs_probe:
            return
        with contextlib.suppress(StateFull):
            await self._outbox.declare_missing(self._clock.now())
        self.confirmation.probing = True
        with contextlib.suppress(broker.PublishRefused):  # `_stream` gets the same refusal and handles it
            for row in await self._outbox.unsent(self.confirmation.watermark or 0, WINDOW):
                if row.seq not in self._deferred:
                    await connection.publish(self._topic, self._deferred.payload(row))


def _succeeded(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
