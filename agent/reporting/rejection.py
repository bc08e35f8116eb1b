"""What to do with a row that the broker does not accept: it refuses the row, or the connection ends over it.

First find the cause. If the topic is denied, all rows wait (`denial`). If the connection ended for another reason, the
row is sent again (`poison`). If the row itself is the cause, it is set aside and a `dropped` event names it. A
decision or an outcome is never given up: it is shortened, and if that does not help, deferred (`deferred`).
"""

import contextlib

import structlog

from agent.adapters import broker
from agent.adapters.clock import Clock
from agent.adapters.outbox import Outbox, OutboxRow
from agent.adapters.sqlite import database
from agent.core.protocol import payloads
from agent.reporting.deferred import NEVER_GIVEN_UP, Deferred
from agent.reporting.denial import Denial
from agent.reporting.host_report import HostReport
from agent.reporting.poison import PoisonDetector

STEADY = 10.0  # seconds that a connection must hold before it gets a row that ended others
POISON_ALERT = "outbox-poison"
DENIED_ALERT = "events-denied"
ROW_CODES = {broker.PACKET_TOO_LARGE, broker.PAYLOAD_INVALID}  # reason codes that concern one message, not its topic

log = structlog.get_logger()


class Rejections:
    """Judges each rejection, and shows those that last as alerts."""

    def __init__(
        self, outbox: Outbox, topic: str, host_report: HostReport, clock: Clock, poison: PoisonDetector
    ) -> None:
        self._outbox = outbox
        self._topic = topic
        self._host_report = host_report
        self._clock = clock
        self._poison = poison
        self._denial = Denial()
        self._refused = 0  # the row that was refused last, by a code that may concern the topic
        self._set_aside = ""  # about the last row that was set aside
        self.deferred = Deferred()

    @property
    def needs_probe(self) -> bool:
        """Whether the broker has to accept an empty message before it gets the next row."""
        return self._denial.standing or self._poison.needs_stable_connection

    def alone(self, row: OutboxRow) -> bool:
        """Whether a row must be the only one in flight."""
        return self._poison.must_isolate(row.seq)

    async def probe(self, connection: broker.Connection) -> None:
        """If needed, find out with an empty message whether the broker accepts events. Raises PublishRefused."""
        if not self.needs_probe:
            return
        await self._clock.sleep(max(STEADY, self._denial.wait(self._clock.monotonic())))
        self._denial.probing = True
        try:
            await connection.publish(self._topic, payloads.PROBE)
        except broker.PublishRefused as refused:
            self._poison.acquit()
            self._deny(refused)
            raise
        self._poison.topic_works()
        self._allow()

    def accepted(self, row: OutboxRow) -> bool:
        """The broker accepted a row. Returns whether it was a deferred one, which other rows have overtaken."""
        self._poison.record_reply(row.seq, taken=True)
        self._allow()
        if row.seq == self._refused:
            self._refused = 0
        if row.seq not in self.deferred:
            return False
        self.settle(row.seq)
        return True

    def settle(self, seq: int) -> None:
        """A deferred row was accepted, or is no longer in the outbox."""
        self.deferred.release(seq)
        self._show_poison()

    async def refused(self, row: OutboxRow, error: broker.PublishRefused) -> bool:
        """The broker refused a row. Returns True if the others can go on, False if all must be sent again."""
        self._poison.record_reply(row.seq, taken=False)
        if error.code not in ROW_CODES and row.seq != self._refused:
            self._refused = row.seq  # refused again although a probe was accepted, the row itself is the cause
            self._deny(error)
            return False
        return await self._reject(row, str(error))

    async def connection_ended(self, unanswered: list[OutboxRow]) -> bool:
        """The connection ended with these rows in flight. Returns whether one of ours probably ended it."""
        if self._denial.probing:
            self._poison.acquit()
            self._denial.connection_ended(self._clock.monotonic())
            self._show_denial()
            return True
        if not unanswered:
            return False
        row = unanswered[0]
        if row.seq in self.deferred:
            self._defer(row.seq, "the connection ended over it again")
            return True
        alone = self._poison.must_isolate(row.seq)
        if breaks := self._poison.record_disconnect(row.seq):
            await self._reject(row, f"{breaks} connections ended over it")
        return alone

    async def _reject(self, row: OutboxRow, error: str) -> bool:
        """The row itself is the cause. Returns False if it is to be sent again, in a shorter form."""
        if row.kind not in NEVER_GIVEN_UP:
            await self._put_aside(row.seq, error)
        elif row.seq not in self.deferred and self.deferred.shorten(row.seq):
            log.warning("an event was rejected; sending it shortened", action="shorten", seq=row.seq, error=error)
            return False
        else:
            self._defer(row.seq, error)
        return True

    async def _put_aside(self, seq: int, error: str) -> None:
        with contextlib.suppress(database.StateFull):
            await self._outbox.quarantine(seq, error, self._clock.now())
        log.warning("an event cannot be delivered and is set aside", action="set-aside", seq=seq, error=error)
        self._set_aside = f"events cannot be delivered and stay on the host; the last is number {seq}: {error}"
        self._show_poison()

    def _defer(self, seq: int, error: str) -> None:
        if seq not in self.deferred:
            log.warning("an event was rejected in every form; trying later", action="defer", seq=seq, error=error)
        self.deferred.defer(seq, self._clock.monotonic())
        self._show_poison()

    def _deny(self, refused: broker.PublishRefused) -> None:
        self._denial.refused(str(refused), self._clock.monotonic())
        self._show_denial()

    def _allow(self) -> None:
        self._denial.accepted()
        self._show_denial()

    def _show_denial(self) -> None:
        if self._denial.reason:
            message = f"the broker denies events: {self._denial.reason}; may this user publish to {self._topic}?"
            self._host_report.raise_alert(DENIED_ALERT, message, self._clock.now())
        else:
            self._host_report.clear_alert(DENIED_ALERT)

    def _show_poison(self) -> None:
        """A row that was set aside keeps the alert until the process ends, a deferred one until it is accepted."""
        texts = [self._set_aside] if self._set_aside else []
        if waiting := self.deferred.numbers:
            texts.append(
                f"the broker rejects {len(waiting)} decisions or outcomes even in their shortest form, first number"
                f" {waiting[0]}; they wait here and are tried again: does the broker limit the size of a message?"
            )
        if texts:
            self._host_report.raise_alert(POISON_ALERT, "; ".join(texts), self._clock.now())
        else:
            self._host_report.clear_alert(POISON_ALERT)
