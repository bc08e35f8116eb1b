"""Keeps the broker told: status, info, inventory and alerts as retained topics, events from the outbox.

Everything retained is published again after every connect: a broker without persistence forgets it.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

import structlog
import tenacity

from agent import aio
from agent.adapters import broker
from agent.adapters.broker import Connection, Message
from agent.adapters.clock import Clock
from agent.core.protocol import payloads
from agent.reporting.collectors import Collectors
from agent.reporting.confirmation import BEHIND_ALERT, UNCONFIRMED_ALERT
from agent.reporting.host_report import HostReport
from agent.reporting.inventory_topic import INVENTORY_ALERT, InventoryTopic
from agent.reporting.outbox_sender import FULL_ALERT, OutboxSender
from agent.reporting.rejection import DENIED_ALERT, POISON_ALERT
from agent.reporting.subscriptions import ACKS_ALERT, FLOOD_ALERT, Subscriptions
from agent.reporting.timing import ReportingTiming

TWO_AGENTS_ALERT = "two-agents"
# those that the publisher itself raises
ALERTS = (
    TWO_AGENTS_ALERT,
    BEHIND_ALERT,
    DENIED_ALERT,
    POISON_ALERT,
    FULL_ALERT,
    UNCONFIRMED_ALERT,
    ACKS_ALERT,
    FLOOD_ALERT,
    INVENTORY_ALERT,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the configuration says about publishing."""

    collector: str = "main"  # the one whose acknowledgements count
    confirm: Literal["broker", "collector"] = "broker"  # whose acknowledgement takes an event out of the outbox
    inventory_every: float = 2.0  # seconds
    chance: Callable[[], float] = random.random  # a number from 0 up to 1
    timing: ReportingTiming = ReportingTiming()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherParts:
    """Who does the work on a connection; each outlives it."""

    sender: OutboxSender
    subscriptions: Subscriptions
    inventory: InventoryTopic
    collectors: Collectors


class Publisher:
    """One agent's side of the broker. Nothing here holds up an eviction: the loops only write to the board."""

    def __init__(
        self,
        *,
        connect: broker.Connect,
        topics: payloads.Topics,
        host_report: HostReport,
        clock: Clock,
        agent_id: str,
        parts: PublisherParts,
        settings: Settings = Settings(),
        former_alerts: Iterable[str] = ALERTS,
    ) -> None:
        """`former_alerts` are ids that an earlier run may have left on the broker: cleared unless they stand now."""
        self._connect = connect
        self._topics = topics
        self._host_report = host_report
        self._clock = clock
        self._agent_id = agent_id
        self._collector = settings.collector
        self._timing = settings.timing
        self._sender = parts.sender
        self._subscriptions = parts.subscriptions
        self._inventory = parts.inventory
        self._collectors = parts.collectors
        self._first_session = secrets.randbits(40)  # a nonce of this start; each connect adds one
        self._session = self._first_session - 1
        self._shown: dict[str, payloads.Alert | None] = dict.fromkeys(former_alerts)
        self._shown_info: payloads.Info | None = None
        self._was_cut_off = False  # the last connection was lost, and not because of what this agent sent or received
        self._overwritten = asyncio.Event()  # somebody else wrote to our status topic
        self._births: tuple[datetime, ...] = ()  # the first two of this run
        self._foreign_at: float | None = None  # when the other agent was last seen
        self._trouble: type[BaseException] | None = None  # what was logged last, until the broker is back
        self._refused: set[str] = set()  # topics whose refusal is logged

    async def run(self) -> None:
        """Endless. BrokerUnavailable is weather, retried here with jitter; anything else escapes."""
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(broker.BrokerUnavailable),
            wait=tenacity.wait_random_exponential(min=0.2, max=self._timing.reconnect_backoff_max),
            sleep=self._clock.sleep,
            before_sleep=self._went_down,
        ):
            with attempt:
                began = self._clock.monotonic()
                try:
                    await self._serve()
                finally:
                    if self._clock.monotonic() - began > self._timing.stable_after:
                        attempt.retry_state.attempt_number = 1

    async def _serve(self) -> None:
        """One connection, from birth to its loss."""
        self._session += 1
        will = Message(self._topics.status, self._status("offline").encode(), retain=True)
        async with self._connect(will) as connection:
            try:
                self._subscriptions.begin()
                await self._subscriptions.request(connection)  # before the birth, to see the status from before it
                await self._publish_birth(connection)
                self._came_up(connection.peer)
                await aio.isolated(self._work(connection), "mqtt")
            except broker.BrokerUnavailable as error:
                await self._was_lost(error)
                raise
            finally:
                await self._publish_offline(connection)

    async def _was_lost(self, error: broker.BrokerUnavailable) -> None:
        """Learn from the end of a connection, so that the next one can do better."""
        over_our_row = await self._sender.connection_lost()
        self._inventory.connection_ended()
        if isinstance(error, broker.Flooded):
            self._subscriptions.note_flood(error)
        self._was_cut_off = not over_our_row and not isinstance(error, broker.Flooded)

    async def _work(self, connection: Connection) -> None:
        acks = self._sender.confirmation
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(connection), name="mqtt-listen")
                group.create_task(self._beat(connection), name="mqtt-status")
                group.create_task(self._subscriptions.keep(connection, acks.is_overdue), name="mqtt-subscriptions")
                group.create_task(self._reassert(connection), name="mqtt-reassert")
                group.create_task(self._follow_board(connection), name="mqtt-board")
                group.create_task(self._answer_births(connection), name="mqtt-births")
                group.create_task(self._sender.run(connection), name="mqtt-outbox")
                group.create_task(self._sender.resend_loop(connection), name="mqtt-resend")
                group.create_task(acks.store(), name="mqtt-acks")
        except BaseExceptionGroup as group_error:
            lost, bugs = group_error.split(broker.BrokerUnavailable)
            if lost is None or bugs is not None:
                raise
            raise lost.exceptions[0] from None

    async def _publish_birth(self, connection: Connection) -> None:
        """Publish all that is retained again; the inventory after a pause if the whole fleet may be reconnecting."""
        self._host_report.changed.clear()
        self._collectors.answered()
        self._overwritten.clear()
        self._forget_shown(fleet_returns=self._was_cut_off)
        await self._publish_status(connection, "online")
        self._births = (*self._births, self._clock.now())[:2]
        await self._show_board(connection)

    def _forget_shown(self, *, fleet_returns: bool = False) -> None:
        """Whatever is on the board is published again, when its turn comes."""
        self._shown_info = None
        self._inventory.begin(fleet_returns=fleet_returns)
        self._shown = dict.fromkeys(self._shown)

    async def _publish_status(self, connection: Connection, state: Literal["online", "offline"]) -> None:
        await self._retain(connection, self._topics.status, self._status(state).encode())

    def _status(self, state: Literal["online", "offline"]) -> payloads.Status:
        return payloads.Status(state=state, session=self._session, at=self._clock.now(), agent_id=self._agent_id)

    async def _show_board(self, connection: Connection) -> None:
        """Publish what differs from what the broker has."""
        host_report = self._host_report
        if host_report.info is not None and host_report.info is not self._shown_info:
            self._shown_info = host_report.info
            await self._retain(connection, self._topics.info, host_report.info.encode())
        await self._show_alerts(connection)
        await self._inventory.show(partial(self._retain, connection))

    async def _show_alerts(self, connection: Connection) -> None:
        standing = dict(self._host_report.alerts)
        for alert_id, alert in standing.items():
            if self._shown.get(alert_id) != alert:
                self._shown[alert_id] = alert
                await self._retain(connection, self._topics.alert(alert_id), alert.encode())
        for alert_id in [shown for shown in self._shown if shown not in standing]:
            await self._retain(connection, self._topics.alert(alert_id), b"")
            del self._shown[alert_id]  # only now: where the connection is lost, the next one clears it

    async def _follow_board(self, connection: Connection) -> None:
        while True:
            await self._until_there_is_more()
            self._host_report.changed.clear()
            await self._show_board(connection)
            await self._clock.sleep(self._timing.report_interval)

    async def _until_there_is_more(self) -> None:
        """Wait until the board changes, or until its inventory may be published."""
        wait = self._inventory.wait()
        if wait is None:
            await self._host_report.changed.wait()
        else:
            await aio.first(self._host_report.changed.wait(), self._clock.sleep(wait))

    async def _beat(self, connection: Connection) -> None:
        while True:
            await self._clock.sleep(self._timing.status_interval)
            await self._publish_status(connection, "online")
            self._forget_foreign()
            self._sender.confirmation.check_silence()

    async def _listen(self, connection: Connection) -> None:
        """Waits for nothing but the next message, so that messages do not pile up."""
        async for message in connection.messages():
            if message.topic == self._topics.ack:
                self._take_ack(message)
            elif message.topic == self._topics.status:
                self._take_status(message)
            elif (collector := self._topics.collector_of(message.topic)) is not None:
                self._collectors.heard(collector, message)

    def _take_ack(self, message: Message) -> None:
        ack = payloads.decode(payloads.Ack, message.payload)
        if ack is not None and ack.collector == self._collector:
            self._sender.confirmation.receive(ack, retained=message.retain)

    async def _answer_births(self, connection: Connection) -> None:
        """Publish everything again whenever a collector was born."""
        while True:
            await self._collectors.asked()
            log.info("a collector was born; publishing everything again", action="republish")
            await self._publish_status(connection, "online")
            self._forget_shown()
            self._host_report.changed.set()
            await self._sender.show_waiting(connection)

    def _take_status(self, message: Message) -> None:
        """Watch one's own status: others may overwrite it."""
        status = payloads.decode(payloads.Status, message.payload)
        if message.retain:
            self._look_at_former(status)
        elif status is not None and status.state == "online":
            if status.agent_id != self._agent_id:
                self._detected_duplicate_agent()
        elif status is not None or not message.payload:
            # A late will of a former session, or somebody's clearing: we are here, so say so
            # (the bug that zigbee2mqtt had again and again: #5288, #18862).
            self._overwritten.set()

    async def _reassert(self, connection: Connection) -> None:
        """Publish our status again after others wrote to the topic; at most once a second, however often they do."""
        while True:
            await self._overwritten.wait()
            self._overwritten.clear()
            await self._publish_status(connection, "online")
            await self._clock.sleep(self._timing.reassert_interval)

    def _look_at_former(self, status: payloads.Status | None) -> None:
        """What was there before this birth. Between two of our own births, only another agent is born."""
        if status is None or len(self._births) < 2 or status.at < self._births[0]:
            return  # from before this run
        # after a late subscription it may be the present session
        if status.session not in range(self._first_session, self._session + 1):
            self._detected_duplicate_agent()

    def _detected_duplicate_agent(self) -> None:
        self._foreign_at = self._clock.monotonic()
        message = f"another agent calls itself {self._topics.host!r}; set agent.host to another name on one of them"
        self._host_report.raise_alert(TWO_AGENTS_ALERT, message, self._clock.now())

    def _forget_foreign(self) -> None:
        if self._foreign_at is None:
            return
        if self._clock.monotonic() - self._foreign_at >= self._timing.duplicate_agent_ttl:
            self._foreign_at = None
            self._host_report.clear_alert(TWO_AGENTS_ALERT)

    async def _retain(self, connection: Connection, topic: str, payload: bytes) -> None:
        """Publish, retained. A refusal is logged once a topic, and holds up nothing else."""
        try:
            await connection.publish(topic, payload, retain=True)
            self._refused.discard(topic)
        except broker.PublishRefused as refused:
            self._log_refusal(topic, refused)

    def _log_refusal(self, topic: str, refused: Exception) -> None:
        if topic not in self._refused:
            self._refused.add(topic)
            log.warning("the broker refuses a topic", action="mqtt-refused", topic=topic, reason=str(refused))

    async def _publish_offline(self, connection: Connection) -> None:
        """`offline`, where the connection still holds: after a clean disconnect no will is published."""
        try:
            async with asyncio.timeout(self._timing.offline_timeout):
                await self._publish_status(connection, "offline")
        except (broker.BrokerUnavailable, TimeoutError):
            pass

    def _went_down(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, broker.Flooded):
            return  # `Subscriptions` logs it once
        if error is not None and type(error) is not self._trouble:
            self._trouble = type(error)
            log.warning("the broker is not reachable; retrying", action="mqtt-down", reason=str(error))

    def _came_up(self, peer: str) -> None:
        if self._trouble is None and self._subscriptions.flooding:
            return  # the flood is logged, and the broker was there all the time
        self._trouble = None
        log.info("connected to the broker", action="mqtt-up", broker=peer, session=self._session)
