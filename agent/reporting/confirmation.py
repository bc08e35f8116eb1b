"""Decides whose acknowledgement removes a row from the outbox: the broker's or the collector's.

With `mqtt.confirm = "broker"`, the broker's counts until a collector acknowledges for the first time. From then on, or
with `mqtt.confirm = "collector"` from the start, only the collector's watermark counts: a broker that is killed loses
messages that it has acknowledged.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Literal

import structlog

from agent.adapters.clock import Clock
from agent.adapters.outbox import Outbox, UnknownSequence, Watermark
from agent.adapters.state_errors import StateFull
from agent.core.protocol import payloads
from agent.core.protocol.alerts import AlertId
from agent.reporting.host_report import HostReport

OVERDUE = 30.0  # seconds that sent rows wait for an acknowledgement, until the agent subscribes to them again
SILENCE = 300.0  # seconds that sent rows wait for an acknowledgement, until an alert is raised
MOST_EPOCHS = 8  # with an acknowledgement waiting to be stored; normally one, two if two agents share one name

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
        self.probing = False  # the first rows were sent again as a test; once they are acknowledged, the rest follows
        self._sent = 0  # the last row that was sent on any connection
        self._silent_since: float | None = None  # since when sent rows wait for an acknowledgement
        self._received: dict[str, payloads.Ack] = {}  # by epoch, the latest, until it is stored
        self._arrived = asyncio.Event()
        self._ignored = False  # whether an acknowledgement was ignored; logged only the first time

    async def begin(self) -> None:
        """Reset for a new connection."""
        self.watermark, self.probing = await self._outbox.watermark(), False

    def sent(self, seq: int) -> None:
        """Record that a row was sent on the connection."""
        self._sent = max(self._sent, seq)
        if self._silent_since is None:
            self._silent_since = self._clock.monotonic()

    async def broker_acknowledged(self, seq: int, deferred: Iterable[int]) -> bool:
        """Record that the broker has all rows up to `seq` except the deferred ones. Returns whether it removes them."""
        if self.watermark is not None or self._confirm == "collector":
            return False
        with contextlib.suppress(StateFull):  # they are removed with a later row, or sent again
            await self._outbox.retire(seq, deferred)
        return True

    def is_behind(self) -> bool:
        """Whether the collector's acknowledgement counts and some of the sent rows lack it."""
        if self.watermark is None and self._confirm == "broker":
            return False
        return self._sent > (self.watermark or 0)

    def is_overdue(self) -> bool:
        """Whether sent rows have waited so long that the subscription to acknowledgements may be broken."""
        return self._is_silent_for(OVERDUE)

    def _is_silent_for(self, seconds: float) -> bool:
        since = self._silent_since
        return self.is_behind() and since is not None and self._clock.monotonic() - since >= seconds

    def check_silence(self) -> None:
        """Raise or clear the alert that the collector, whose acknowledgement is required, acknowledges nothing."""
        if self._confirm == "collector" and self._is_silent_for(SILENCE):
            message = (
                "the collector has acknowledged none of the events sent in the last 5 minutes or more; they stay in the"
                " outbox: does it run, is it the one that mqtt.collector names, and does the ACL let events reach it?"
            )
            self._host_report.raise_alert(AlertId.UNCONFIRMED, message, self._clock.now())
        else:
            self._host_report.clear_alert(AlertId.UNCONFIRMED)

    def receive(self, ack: payloads.Ack, *, retained: bool = False) -> None:
        """Keep only the latest acknowledgement of each epoch for `store`, so that a flood does not build up a queue.

        A retained one that repeats the known watermark is ignored: it does not prove that the collector still runs.
        """
        if retained and ack.seq == self.watermark:
            return
        self._received.pop(ack.epoch, None)
        self._received[ack.epoch] = ack
        if len(self._received) > MOST_EPOCHS:
            del self._received[next(iter(self._received))]
        self._arrived.set()

    async def store(self) -> None:
        """Apply received acknowledgements to the outbox, endlessly. One with an impossible number changes nothing."""
        while True:
            await self._arrived.wait()
            ack = self._received.pop(next(iter(self._received)))
            if not self._received:
                self._arrived.clear()
            try:
                stored = await self._outbox.acknowledge(ack.epoch, ack.seq, self._clock.now())
            except StateFull:
                continue  # the collector repeats its acknowledgement
            except UnknownSequence:
                self._warn_of_reuse(ack.seq)
            else:
                self._follow(stored, ack.epoch)

    def _follow(self, stored: Watermark | None, epoch: str) -> None:
        if stored is None:
            if not self._ignored:
                self._ignored = True
                log.warning("ignored an acknowledgement for another epoch", action="ack-ignored", epoch=epoch)
            return
        if self.watermark is not None and stored.seq > self.watermark:
            self.progress += 1
        self.watermark = stored.seq
        self._silent_since = self._clock.monotonic() if self.is_behind() else None
        self._host_report.clear_alert(AlertId.UNCONFIRMED)
        if stored.back or self.probing:
            self.probing = False
            self.send_again(stored.seq)

    def _warn_of_reuse(self, seq: int) -> None:
        """Raise the alert that event numbers may repeat: the collector would discard the new events as duplicates."""
        message = (
            f"the collector has events up to number {seq}, but this state never issued that number: state.db was"
            " restored from an older copy, or another agent runs on a copy; stop the agent, move state.db aside and"
            " start it again"
        )
        self._host_report.raise_alert(AlertId.OUTBOX_BEHIND, message, self._clock.now(), "critical")
