"""Which acknowledgement removes a row from the outbox: the broker's or the collector's.

The broker's counts until the first acknowledgement of the collector, unless `mqtt.confirm` says that only the
collector's counts. After that only the collector's watermark does: a broker that is killed loses what it acknowledged.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Literal

import structlog

from agent.adapters.clock import Clock
from agent.adapters.outbox import Outbox, UnknownSequence, Watermark
from agent.adapters.sqlite import database
from agent.core.protocol import payloads
from agent.reporting.host_report import HostReport

OVERDUE = 30.0  # seconds without an acknowledgement of rows that were sent, until it is requested again
SILENCE = 300.0  # seconds without an acknowledgement of rows that were sent, until that is an alert
MOST_EPOCHS = 8  # whose acknowledgements wait to be stored; one is the rule, two agents with one name make two
BEHIND_ALERT = "outbox-behind"
UNCONFIRMED_ALERT = "unconfirmed"

log = structlog.get_logger()


class Confirmation:
    """Tracks the collector's watermark."""

    def __init__(
        self,
        outbox: Outbox,
        host_report: HostReport,
        clock: Clock,
        confirm: Literal["broker", "collector"],
    ) -> None:
        self._outbox = outbox
        self._host_report = host_report
        self._clock = clock
        self._confirm = confirm
        self.send_again: Callable[[int], None] = lambda _: None  # set by the sender: sends all rows after a number
        self.watermark: int | None = None  # None: no collector has ever acknowledged
        self.progress = 0  # how often the watermark rose
        self.asking = False  # some rows were sent again to see whether the collector lives; the rest follows its answer
        self._sent = 0  # the last row that was given to any connection
        self._silent_since: float | None = None  # since when sent rows wait for an acknowledgement
        self._received: dict[str, payloads.Ack] = {}  # by epoch, the latest, until it is stored
        self._arrived = asyncio.Event()
        self._ignored = False  # whether an acknowledgement was ignored, which is logged once

    async def begin(self) -> None:
        """A new connection."""
        self.watermark, self.asking = await self._outbox.watermark(), False

    def sent(self, seq: int) -> None:
        """A row was given to the connection."""
        self._sent = max(self._sent, seq)
        if self._silent_since is None:
            self._silent_since = self._clock.monotonic()

    async def broker_acknowledged(self, seq: int, deferred: Iterable[int]) -> bool:
        """The broker has all rows up to here but the deferred ones. Returns whether that removes them."""
        if self.watermark is not None or self._confirm == "collector":
            return False
        with contextlib.suppress(database.StateFull):  # removed with the next one, or sent again
            await self._outbox.retire(seq, deferred)
        return True

    def is_behind(self) -> bool:
        """Whether the collector has not acknowledged all that was sent, though only its acknowledgement counts."""
        if self.watermark is None and self._confirm == "broker":
            return False
        return self._sent > (self.watermark or 0)

    def is_overdue(self) -> bool:
        """Whether sent rows have waited so long for an acknowledgement that its subscription may be broken."""
        return self._is_silent_for(OVERDUE)

    def _is_silent_for(self, seconds: float) -> bool:
        since = self._silent_since
        return self.is_behind() and since is not None and self._clock.monotonic() - since >= seconds

    def check_silence(self) -> None:
        """Raise or clear the alert that the collector acknowledges nothing, where only that counts."""
        if self._confirm == "collector" and self._is_silent_for(SILENCE):
            message = (
                "the collector has acknowledged none of the events sent in the last 5 minutes or more; they wait here: "
                "does it run, is it the one that mqtt.collector names, and does the ACL let events reach it?"
            )
            self._host_report.raise_alert(UNCONFIRMED_ALERT, message, self._clock.now())
        else:
            self._host_report.clear_alert(UNCONFIRMED_ALERT)

    def receive(self, ack: payloads.Ack, *, retained: bool = False) -> None:
        """Keep the latest acknowledgement of each epoch for `store`, so that a flood of them makes no queue.

        A retained one with the number that is known already is ignored: the collector may have died since it sent it.
        """
        if retained and ack.seq == self.watermark:
            return
        self._received.pop(ack.epoch, None)
        self._received[ack.epoch] = ack
        if len(self._received) > MOST_EPOCHS:
            del self._received[next(iter(self._received))]
        self._arrived.set()

    async def store(self) -> None:
        """Apply received acknowledgements to the outbox, endlessly. No acknowledgement can lose a row."""
        while True:
            await self._arrived.wait()
            ack = self._received.pop(next(iter(self._received)))
            if not self._received:
                self._arrived.clear()
            try:
                found = await self._outbox.acknowledge(ack.epoch, ack.seq, self._clock.now())
            except database.StateFull:
                continue  # the collector acknowledges again
            except UnknownSequence:
                self._warn_of_reuse(ack.seq)
            else:
                self._follow(found, ack.epoch)

    def _follow(self, found: Watermark | None, epoch: str) -> None:
        if found is None:
            if not self._ignored:
                self._ignored = True
                log.warning("ignored an acknowledgement for another epoch", action="ack-ignored", epoch=epoch)
            return
        if self.watermark is not None and found.seq > self.watermark:
            self.progress += 1
        self.watermark = found.seq
        self._silent_since = self._clock.monotonic() if self.is_behind() else None
        self._host_report.clear_alert(UNCONFIRMED_ALERT)
        if found.back or self.asking:
            self.asking = False
            self.send_again(found.seq)

    def _warn_of_reuse(self, seq: int) -> None:
        """From here on numbers may be used twice, and the collector takes the second for a duplicate."""
        message = (
            f"the collector has events up to number {seq}, more than this state ever gave: it was put back from an"
            " older copy, or another agent runs on a copy; stop the agent, move state.db aside and start it again"
        )
        self._host_report.raise_alert(BEHIND_ALERT, message, self._clock.now(), "critical")
