"""Takes in all that the fleet publishes: first the commit, then the acknowledgement.

Nothing is lost if any part is killed at any time. What is not acknowledged, the broker sends again; what the broker
loses, the hosts send again from the watermark, which is published only after the commit.
"""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
import tenacity

from agent import aio
from agent.adapters import broker
from agent.adapters.broker import BrokerUnavailable, CollectorConnection, Delivery, Message
from agent.adapters.clock import Clock
from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import Incoming
from agent.fleet.collector.committer import Committer
from agent.fleet.collector.publishing import WatermarkPublisher

MOST_MESSAGES = 2000  # in one commit: a slow disk takes as long for it as for a few
MOST_BYTES = 4_000_000  # of payloads in one commit
LINGER = 0.02  # seconds at most that a commit waits for more messages
SILENCE = 0.002  # seconds without a message, after which it waits no longer
RECONNECT_MAX = 15.0  # seconds between two attempts to connect
STABLE_AFTER = 60.0  # seconds; a connection that lasted longer resets the back-off
FEW = 50  # messages that wait in a calm fleet
# Seconds at most that `offline` may wait for its acknowledgement at the end. The broker has it without that, too, and
# in a burst the acknowledgement stands behind messages that nobody takes any more.
GOODBYE = 0.5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Link:
    """Whether there is a connection to the broker, since when, and why there is none."""

    connected: bool
    since: datetime
    error: str = ""


class Collector:
    """Reads all topics of all hosts, over one connection after the other."""

    def __init__(
        self,
        *,
        connect: broker.ConnectCollector,
        topics: Topics,
        identity: str,
        clock: Clock,
        committer: Committer,
        watermarks: WatermarkPublisher,
    ) -> None:
        """`topics`: those of all hosts. `identity`: the id of this collector, under which hosts know it."""
        self._connect = connect
        self._topics = topics
        self._status_topic = topics.collector(identity)
        self._clock = clock
        self._committer = committer
        self._watermarks = watermarks
        self._session = secrets.randbits(40)  # random for each start; each connect adds one
        self._connection: CollectorConnection | None = None
        self.link = Link(False, clock.now())

    @property
    def behind(self) -> int:
        """How many messages have arrived and are not stored yet."""
        return self._connection.waiting if self._connection else 0

    @property
    def is_busy(self) -> bool:
        """Whether the broker has more for us: what it retained, before it answers the subscriptions, or a burst."""
        return self._connection is not None and (not self.link.connected or self.behind > FEW)

    async def run(self) -> None:
        """Collect, endlessly. Retries BrokerUnavailable; any other exception escapes."""
        await self._committer.begin()
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(BrokerUnavailable),
            wait=tenacity.wait_random_exponential(min=0.2, max=RECONNECT_MAX),
            sleep=self._clock.sleep,
            before_sleep=self._note_loss,
        ):
            with attempt:
                began = self._clock.monotonic()
                try:
                    await self._serve()
                finally:
                    if self._clock.monotonic() - began > STABLE_AFTER:
                        attempt.retry_state.attempt_number = 1

    async def _serve(self) -> None:
        """Serve one connection until it is lost. Raises BrokerUnavailable."""
        self._session += 1
        will = Message(self._status_topic, self._status("offline"), retain=True)
        async with self._connect(will) as connection:
            self._connection = connection
            try:
                await aio.isolated(self._work(connection), "collector")
            finally:
                self._connection = None
                await self._say_goodbye(connection)

    async def _work(self, connection: CollectorConnection) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ingest(connection), name="collector-ingest")
                group.create_task(self._speak(connection), name="collector-watermarks")
        except BaseExceptionGroup as group_error:
            lost, bugs = group_error.split(BrokerUnavailable)
            if lost is None or bugs is not None:
                raise
            raise lost.exceptions[0] from None

    # Reading. It begins at once: the answer to a subscription stands behind all that the broker has kept for us.

    async def _ingest(self, connection: CollectorConnection) -> None:
        while True:
            deliveries = await self._gather(connection)
            now = self._clock.now()
            await self._committer.store([Incoming(one.topic, one.payload, now, one.retain) for one in deliveries])
            connection.acknowledge(deliveries)

    async def _gather(self, connection: CollectorConnection) -> Sequence[Delivery]:
        """Wait for a message, and for those that come right after it: a commit costs as much as fifty messages."""
        gathered = await connection.take(MOST_MESSAGES, MOST_BYTES)
        size = sum(len(one.payload) for one in gathered)
        end = self._clock.monotonic() + LINGER
        while len(gathered) < MOST_MESSAGES and size < MOST_BYTES and self._clock.monotonic() < end:
            await self._clock.sleep(SILENCE)
            more = connection.take_waiting(MOST_MESSAGES - len(gathered), MOST_BYTES - size)
            if not more:
                break
            gathered += more
            size += sum(len(one.payload) for one in more)
        return gathered

    # Speaking

    async def _speak(self, connection: CollectorConnection) -> None:
        await self._subscribe(connection)
        await self._publish_status(connection, "online")  # after the subscriptions: hosts publish all again
        self._note_connect(connection.peer)
        await self._watermarks.run(connection)

    async def _subscribe(self, connection: CollectorConnection) -> None:
        topics = self._topics
        try:
            await connection.subscribe(topics.events)
            for topic in (topics.status, topics.info, topics.inventory, topics.alert("+")):
                await connection.subscribe(topic, qos=0)
        except broker.SubscribeRefused as refused:  # of a cluster that elects a leader, or of an ACL: try again
            raise BrokerUnavailable(str(refused)) from None

    async def _publish_status(self, connection: CollectorConnection, state: Literal["online", "offline"]) -> None:
        try:
            await connection.publish(self._status_topic, self._status(state), retain=True)
        except broker.PublishRefused as refused:
            reason = f"{refused}; hosts do not learn that this collector started"
            log.warning("the broker refuses a topic", action="mqtt-refused", topic=self._status_topic, reason=reason)

    def _status(self, state: Literal["online", "offline"]) -> bytes:
        return payloads.CollectorStatus(state=state, session=self._session, at=self._clock.now()).encode()

    async def _say_goodbye(self, connection: CollectorConnection) -> None:
        """Publish `offline` if the connection is still open: after a clean disconnect the broker sends no will."""
        with suppress(BrokerUnavailable, TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await self._publish_status(connection, "offline")

    # What is known of the connection

    def _note_connect(self, peer: str) -> None:
        self.link = Link(True, self._clock.now())
        log.info("connected to the broker", action="mqtt-up", broker=peer, session=self._session)

    def _note_loss(self, state: tenacity.RetryCallState) -> None:
        error = str(state.outcome.exception()) if state.outcome else ""
        if self.link.connected or not self.link.error:
            log.warning("the broker is not reachable; retrying", action="mqtt-down", reason=error)
        since = self._clock.now() if self.link.connected else self.link.since
        self.link = Link(False, since, error)
