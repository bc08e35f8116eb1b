"""Publishes the watermarks, when `watermarks` says so."""

import asyncio
from collections.abc import Mapping

import structlog

from agent import aio
from agent.adapters import broker
from agent.adapters.broker import CollectorConnection
from agent.adapters.clock import Clock
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import Source, StreamState
from agent.fleet.collector.watermarks import Watermarks

BACKLOG = 500  # messages that wait to be stored: then storing them comes first
BACKLOG_PAUSE = 0.25  # seconds from one window of watermarks to the next, while there is a backlog

log = structlog.get_logger()


class WatermarkPublisher:
    """Tells each host up to which number this collector has all of its events, on disk."""

    def __init__(self, prefix: str, identity: str, clock: Clock) -> None:
        self._watermarks = Watermarks()
        self._prefix = prefix
        self._identity = identity
        self._clock = clock
        self._changed = asyncio.Event()
        self.error = ""  # why hosts get no watermarks; "" if they do

    def load(self, streams: Mapping[Source, StreamState]) -> None:
        """Take over all streams of the database."""
        self._watermarks.load(streams, self._clock.monotonic())

    def update(self, streams: Mapping[Source, StreamState]) -> None:
        """Take over the streams of a commit; their watermarks are published soon."""
        self._watermarks.update(streams, self._clock.monotonic())
        self._changed.set()

    async def run(self, connection: CollectorConnection) -> None:
        """Publish all watermarks on a new connection, and from then on those that are due. Raises BrokerUnavailable."""
        self._watermarks.repeat(self._clock.monotonic())
        while True:
            self._changed.clear()
            if due := self._watermarks.due(self._clock.monotonic()):
                await asyncio.gather(*(self._publish(connection, source, seq) for source, seq in due))
                if connection.waiting > BACKLOG:
                    await self._clock.sleep(BACKLOG_PAUSE)
            else:
                await self._wait()

    async def _wait(self) -> None:
        at = self._watermarks.next_at()
        if at is None:
            await self._changed.wait()
        else:
            await aio.first(self._changed.wait(), self._clock.sleep(max(0.001, at - self._clock.monotonic())))

    async def _publish(self, connection: CollectorConnection, source: Source, seq: int) -> None:
        host, epoch = source
        topic = Topics(self._prefix, host).ack
        ack = payloads.Ack(collector=self._identity, epoch=epoch, seq=seq)
        try:
            await connection.publish(topic, ack.encode(), retain=True)
            self.error = ""
        except broker.PublishRefused as refused:
            self._note_refusal(topic, refused)

    def _note_refusal(self, topic: str, refused: broker.PublishRefused) -> None:
        if not self.error:
            log.warning("the broker refuses a watermark", action="mqtt-refused", topic=topic, reason=str(refused))
        self.error = f"the broker refuses the watermarks, so hosts keep all their events: {refused} ({topic})"
