"""Publishes the agent's state: status, info, inventory and alerts as retained topics, and events from the outbox.

All retained topics are published again after each connect: a broker without persistence may have lost them.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
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
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.topics import Topics
from agent.reporting.collectors import Collectors
from agent.reporting.host_report import HostReport
from agent.reporting.inventory_topic import InventoryTopic
from agent.reporting.outbox_sender import OutboxSender
from agent.reporting.refusals import Refusals
from agent.reporting.subscriptions import Subscriptions
from agent.reporting.timing import ReportingTiming

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The part of the configuration that concerns publishing."""

    collector: str = "main"  # the collector whose acknowledgements count
    confirm: Literal["broker", "collector"] = "broker"  # whose acknowledgement removes an event from the outbox
    inventory_every: float = 2.0  # seconds
    username: str = ""  # at the broker; "": none, or that of a certificate
    chance: Callable[[], float] = random.random  # a number from 0 up to 1
    timing: ReportingTiming = ReportingTiming()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherParts:
    """The collaborators that do the work on each connection; they outlive connections."""

    sender: OutboxSender
    subscriptions: Subscriptions
    inventory: InventoryTopic
    collectors: Collectors


class Publisher:
    """Connects one agent to the broker. Evictions never wait for it: the other loops only write to the host report."""

    def __init__(
        self,
        *,
        connect: broker.Connect,
        topics: Topics,
        host_report: HostReport,
        clock: Clock,
        agent_id: str,
        parts: PublisherParts,
        settings: Settings = Settings(),
    ) -> None:
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
        self._first_session = secrets.randbits(40)  # random for each start of the agent; each connect adds one
        self._session = self._first_session - 1
        # An earlier run may have left any alert on the broker: it is cleared unless it is raised again.
        self._shown: dict[str, payloads.Alert | None] = dict.fromkeys(AlertId)
        self._shown_info: payloads.Info | None = None
        self._was_cut_off = False  # whether the last connection was lost for a reason outside this agent
        self._overwritten = asyncio.Event()  # somebody else wrote to our status topic
        self._births: tuple[datetime, ...] = ()  # times of the first two births of this run
        self._foreign_at: float | None = None  # when the other agent was last seen
        self._logged_error: tuple[type[BaseException], str] | None = None  # the last logged one; None while connected
        self._refusals = Refusals(topics, settings.username)
        self._renewal = asyncio.Event()  # this connection is to be replaced by another one

    async def run(self) -> None:
        """Serve one connection after the other, endlessly. Retries BrokerUnavailable; any other exception escapes."""
        while True:
            await self._serve_until_renewal()

    def reconnect(self) -> None:
        """Replace the present connection, if there is one, by another one: at once, without a back-off."""
        self._renewal.set()

    async def _serve_until_renewal(self) -> None:
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(broker.BrokerUnavailable),
            wait=tenacity.wait_random_exponential(min=0.2, max=self._timing.reconnect_backoff_max),
            sleep=self._back_off,
            before_sleep=self._log_disconnect,
        ):
            with attempt:
                began = self._clock.monotonic()
                try:
                    await self._serve()
                finally:
                    if self._clock.monotonic() - began > self._timing.stable_after:
                        attempt.retry_state.attempt_number = 1

    async def _back_off(self, seconds: float) -> None:
        """Wait before the next attempt, but not once somebody has replaced the files that made the last one fail."""
        await aio.first(self._clock.sleep(seconds), self._renewal.wait())

    async def _serve(self) -> None:
        """Serve one connection, from its birth message to its renewal. Raises BrokerUnavailable if it is lost."""
        self._session += 1
        self._renewal.clear()
        will = Message(self._topics.status, self._status("offline").encode(), retain=True)
        async with self._connect(will) as connection:
            try:
                self._subscriptions.begin()
                self._refusals.begin()
                await self._subscriptions.request(connection)  # before the birth, to see the status from before it
                await self._publish_birth(connection)
                self._log_connect(connection.peer)
                self._host_report.figures.broker_connections += 1
                self._host_report.figures.broker_connected = True
                await aio.first(self._work(connection), self._renewal.wait())
                self._sender.connection_closed()
                self._was_cut_off = False
            except broker.BrokerUnavailable as error:
                await self._learn_from_loss(error)
                raise
            finally:
                self._host_report.figures.broker_connected = False
                await self._publish_offline(connection)

    async def _learn_from_loss(self, error: broker.BrokerUnavailable) -> None:
        """Find out whether this agent's own messages, or a flood, ended the connection."""
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
                group.create_task(self._heartbeat(connection), name="mqtt-status")
                group.create_task(self._subscriptions.keep(connection, acks.is_overdue), name="mqtt-subscriptions")
                group.create_task(self._reassert(connection), name="mqtt-reassert")
                group.create_task(self._follow_report(connection), name="mqtt-report")
                group.create_task(self._republish_for_collectors(connection), name="mqtt-births")
                group.create_task(self._sender.run(connection), name="mqtt-outbox")
                group.create_task(self._sender.resend_loop(connection), name="mqtt-resend")
                group.create_task(acks.store(), name="mqtt-acks")
        except BaseExceptionGroup as group_error:
            lost, bugs = group_error.split(broker.BrokerUnavailable)
            if lost is None or bugs is not None:
                raise
            raise lost.exceptions[0] from None

    async def _publish_birth(self, connection: Connection) -> None:
        """Publish all retained topics; delay the inventory if the whole fleet may be reconnecting."""
        self._host_report.changed.clear()
        self._collectors.mark_answered()
        self._overwritten.clear()
        self._forget_shown(fleet_returns=self._was_cut_off)
        await self._publish_status(connection, "online")
        self._births = (*self._births, self._clock.now())[:2]
        await self._publish_report(connection)

    def _forget_shown(self, *, fleet_returns: bool = False) -> None:
        """Forget what was published, so that the whole host report is published again."""
        self._shown_info = None
        self._inventory.begin(fleet_returns=fleet_returns)
        self._shown = dict.fromkeys(self._shown)

    async def _publish_status(self, connection: Connection, state: Literal["online", "offline"]) -> None:
        await self._retain(connection, self._topics.status, self._status(state).encode())

    def _status(self, state: Literal["online", "offline"]) -> payloads.Status:
        return payloads.Status(state=state, session=self._session, at=self._clock.now(), agent_id=self._agent_id)

    async def _publish_report(self, connection: Connection) -> None:
        """Publish each part of the host report that changed since it was last published."""
        host_report = self._host_report
        if host_report.info is not None and host_report.info is not self._shown_info:
            self._shown_info = host_report.info
            await self._retain(connection, self._topics.info, host_report.info.encode())
        await self._show_alerts(connection)
        await self._inventory.show(partial(self._retain, connection))
        self._refusals.log()

    async def _show_alerts(self, connection: Connection) -> None:
        standing = dict(self._host_report.alerts)
        for alert_id, alert in standing.items():
            if self._shown.get(alert_id) != alert:
                self._shown[alert_id] = alert
                await self._retain(connection, self._topics.alert(alert_id), alert.encode())
        for alert_id in [shown for shown in self._shown if shown not in standing]:
            await self._retain(connection, self._topics.alert(alert_id), b"")
            del self._shown[alert_id]  # only now: if the connection is lost before, the next one clears it

    async def _follow_report(self, connection: Connection) -> None:
        while True:
            await self._wait_for_change()
            self._host_report.changed.clear()
            await self._publish_report(connection)
            await self._clock.sleep(self._timing.report_interval)

    async def _wait_for_change(self) -> None:
        """Wait until the host report changes, or until its inventory may be published."""
        wait = self._inventory.wait()
        if wait is None:
            await self._host_report.changed.wait()
        else:
            await aio.first(self._host_report.changed.wait(), self._clock.sleep(wait))

    async def _heartbeat(self, connection: Connection) -> None:
        while True:
            await self._clock.sleep(self._timing.status_interval)
            await self._publish_status(connection, "online")
            self._expire_duplicate_alert()
            self._sender.confirmation.check_silence()

    async def _listen(self, connection: Connection) -> None:
        """Handle incoming messages. Nothing here waits for anything else, so that messages do not pile up."""
        async for message in connection.messages():
            if message.topic == self._topics.ack:
                self._take_ack(message)
            elif message.topic == self._topics.status:
                self._take_status(message)
            elif (collector := self._topics.collector_of(message.topic)) is not None:
                self._collectors.receive_status(collector, message)

    def _take_ack(self, message: Message) -> None:
        ack = payloads.decode(payloads.Ack, message.payload)
        if ack is not None and ack.collector == self._collector:
            self._sender.confirmation.receive(ack, retained=message.retain)

    async def _republish_for_collectors(self, connection: Connection) -> None:
        """Publish everything again whenever a collector starts."""
        while True:
            await self._collectors.wait_for_birth()
            log.info("a collector started; publishing everything again", action="republish")
            await self._publish_status(connection, "online")
            self._forget_shown()
            self._host_report.changed.set()
            await self._sender.show_waiting(connection)

    def _take_status(self, message: Message) -> None:
        """Check a message on this host's own status topic: others may overwrite it."""
        status = payloads.decode(payloads.Status, message.payload)
        if message.retain:
            self._check_former_status(status)
        elif status is not None and status.state == "online":
            if status.agent_id != self._agent_id:
                self._detected_duplicate_agent()
        elif status is not None or not message.payload:
            # The late will of an earlier session, or somebody cleared the topic: publish `online` again
            # (zigbee2mqtt had this bug repeatedly: #5288, #18862).
            self._overwritten.set()

    async def _reassert(self, connection: Connection) -> None:
        """Publish our status again after others overwrote it, at most once per REASSERT_EVERY."""
        while True:
            await self._overwritten.wait()
            self._overwritten.clear()
            await self._publish_status(connection, "online")
            await self._clock.sleep(self._timing.reassert_interval)

    def _check_former_status(self, status: payloads.Status | None) -> None:
        """Check the status that was retained before this birth.

        A birth between two of our own births that is not ours is that of another agent with our name.
        """
        if status is None or len(self._births) < 2 or status.at < self._births[0]:
            return  # older than this run
        # if the subscription came late, it may be the present session
        if status.session not in range(self._first_session, self._session + 1):
            self._detected_duplicate_agent()

    def _detected_duplicate_agent(self) -> None:
        self._foreign_at = self._clock.monotonic()
        message = f"another agent calls itself {self._topics.host!r}; set agent.host to another name on one of them"
        self._host_report.raise_alert(AlertId.TWO_AGENTS, message, self._clock.now())

    def _expire_duplicate_alert(self) -> None:
        if self._foreign_at is None:
            return
        if self._clock.monotonic() - self._foreign_at >= self._timing.duplicate_agent_ttl:
            self._foreign_at = None
            self._host_report.clear_alert(AlertId.TWO_AGENTS)

    async def _retain(self, connection: Connection, topic: str, payload: bytes) -> None:
        """Publish a retained message. A refusal does not stop anything else; all of them are logged in one line."""
        try:
            await connection.publish(topic, payload, retain=True)
        except broker.PublishRefused as refused:
            self._refusals.note(topic, str(refused))

    async def _publish_offline(self, connection: Connection) -> None:
        """Publish `offline` if the connection is still open: after a clean disconnect the broker sends no will."""
        try:
            async with asyncio.timeout(self._timing.offline_timeout):
                await self._publish_status(connection, "offline")
        except (broker.BrokerUnavailable, TimeoutError):
            pass

    def _log_disconnect(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, broker.Flooded):
            return  # `Subscriptions` logs it once
        kind = (type(error), getattr(error, "hint", "")) if error is not None else None
        if kind is not None and kind != self._logged_error:
            self._logged_error = kind
            log.warning("the broker is not reachable; retrying", action="mqtt-down", reason=str(error))

    def _log_connect(self, peer: str) -> None:
        if self._logged_error is None and self._subscriptions.flooding:
            return  # `Subscriptions` has logged the flood, and the broker was reachable all the time
        self._logged_error = None
        log.info("connected to the broker", action="mqtt-up", broker=peer, session=self._session)
