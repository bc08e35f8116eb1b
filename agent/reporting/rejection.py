"""What to do with a row that the broker does not accept: it refuses the row, or the connection ends when it is sent.

First find the cause. If the topic is denied, all rows wait (`denial`). If the connection ended for another reason, the
row is sent again (`poison`). If the row itself is the cause, it is set aside and a `dropped` event names it. Decisions
and outcomes are never set aside: they are shortened, and if that does not help, deferred (`deferred`).
"""

import contextlib

import structlog

from agent.adapters import broker
from agent.adapters.clock import Clock
from agent.adapters.outbox import Outbox, OutboxRow
from agent.adapters.state_errors import StateFull
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.topics import PROBE
from agent.reporting.deferred import Deferred
from agent.reporting.denial import Denial
from agent.reporting.host_report import HostReport
from agent.reporting.poison import PoisonDetector

STEADY = 10.0  # seconds that a connection must be stable before it gets a row that may have ended others
ROW_CODES = {broker.PACKET_TOO_LARGE, broker.PAYLOAD_INVALID}  # reason codes that concern one message, not its topic

log = structlog.get_logger()


class Rejections:
    """Finds the cause of each rejection, and shows lasting ones as alerts."""

    def __init__(
        self, outbox: Outbox, topic: str, host_report: HostReport, clock: Clock, poison: PoisonDetector
    ) -> None:
        self._outbox = outbox
        self._topic = topic
        self._host_report = host_report
        self._clock = clock
        self._poison = poison
        self._denial = Denial()
        self._refused = 0  # the row that was refused last with a code that may concern the topic
        self._set_aside = ""  # the alert's text about the last row that was set aside
        self.deferred = Deferred()

    @property
    def needs_probe(self) -> bool:
        """Whether the broker has to accept a probe before it gets the next row."""
        return self._denial.standing or self._poison.needs_stable_connection

    def must_isolate(self, row: OutboxRow) -> bool:
        """Whether a row must be the only one in flight."""
        return self._poison.must_isolate(row.seq)

    async def probe(self, connection: broker.Connection) -> None:
        """If needed, test with an empty message whether the broker accepts events. Raises PublishRefused."""
        if not self.needs_probe:
            return
        await self._clock.sleep(max(STEADY, self._denial.wait(self._clock.monotonic())))
        self._denial.probing = True
        try:
            await connection.publish(self._topic, PROBE)
        except broker.PublishRefused as refused:
            self._poison.clear_suspect()
            self._deny(refused)
            raise
        self._poison.record_topic_accepted()
        self._allow()

    def accepted(self, row: OutboxRow) -> bool:
        """Record that the broker accepted a row. Returns whether it was a deferred one, which others have overtaken."""
        self._poison.record_reply(row.seq, taken=True)
        self._allow()
        if row.seq == self._refused:
            self._refused = 0
        if row.seq not in self.deferred:
            return False
        self.settle(row.seq)
        return True

    def settle(self, seq: int) -> None:
        """Stop deferring a row that was accepted or is no longer in the outbox."""
        self.deferred.release(seq)
        self._show_poison()

    async def refused(self, row: OutboxRow, error: broker.PublishRefused) -> bool:
        """Handle a refusal. Returns True if the rows after it can continue, False if all rows must be sent again."""
        self._poison.record_reply(row.seq, taken=False)
        if error.code not in ROW_CODES and row.seq != self._refused:
            self._refused = row.seq  # if it is refused again after an accepted probe, the row itself is the cause
            self._deny(error)
            return False
        return await self._reject(row, str(error))

    def connection_closed(self) -> None:
        """Record that the agent itself closed the connection: a probe in flight stays without an answer."""
        self._denial.probing = False

    async def connection_ended(self, unanswered: list[OutboxRow]) -> bool:
        """Handle the end of a connection with these rows in flight. Returns whether one of them probably ended it."""
        if self._denial.probing:
            self._poison.clear_suspect()
            self._denial.connection_ended(self._clock.monotonic())
            self._show_denial()
            return True
        if not unanswered:
            return False
        row = unanswered[0]
        if row.seq in self.deferred:
            self._defer(row.seq, "the connection ended again while it was sent")
            return True
        alone = self._poison.must_isolate(row.seq)
        if breaks := self._poison.record_disconnect(row.seq):
            await self._reject(row, f"{breaks} connections ended while it was sent")
        return alone

    async def _reject(self, row: OutboxRow, error: str) -> bool:
        """Handle a row that is itself the cause. Returns False if it has to be sent again in a shorter form."""
        if row.kind not in payloads.NEVER_GIVEN_UP:
            await self._set_row_aside(row.seq, error)
        elif row.seq not in self.deferred and self.deferred.shorten(row.seq):
            log.warning("an event was rejected; sending it shortened", action="shorten", seq=row.seq, error=error)
            return False
        else:
            self._defer(row.seq, error)
        return True

    async def _set_row_aside(self, seq: int, error: str) -> None:
        with contextlib.suppress(StateFull):
            await self._outbox.quarantine(seq, error, self._clock.now())
        log.warning("an event cannot be delivered and is set aside", action="set-aside", seq=seq, error=error)
        self._set_aside = f"events cannot be delivered and stay on the host; the last is number {seq}: {error}"
        self._show_poison()

    def _defer(self, seq: int, error: str) -> None:
        if seq not in self.deferred:
            log.warning("an event was rejected in every form; will retry later", action="defer", seq=seq, error=error)
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
            self._host_report.raise_alert(AlertId.EVENTS_DENIED, message, self._clock.now())
        else:
            self._host_report.clear_alert(AlertId.EVENTS_DENIED)

    def _show_poison(self) -> None:
        """Raise or clear the alert. Rows set aside keep it until the process ends, deferred rows until accepted."""
        texts = [self._set_aside] if self._set_aside else []
        if waiting := self.deferred.numbers:
            texts.append(
                f"the broker rejects {len(waiting)} decisions or outcomes even in their shortest form, first number"
                f" {waiting[0]}; they stay in the outbox and are tried again: does the broker limit the message size?"
            )
        if texts:
            self._host_report.raise_alert(AlertId.OUTBOX_POISON, "; ".join(texts), self._clock.now())
        else:
            self._host_report.clear_alert(AlertId.OUTBOX_POISON)
