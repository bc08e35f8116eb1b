"""Keeps the broker told: status, info, inventory and alerts as retained topics, events from the outbox.

Everything retained is published again after every connect: a broker without persistence forgets it.
"""

import asyncio
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import structlog
import tenacity

from agent.adapters import broker, tasks
from agent.adapters.broker import Connection, Message
from agent.adapters.clock import Clock
from agent.adapters.outbox import Outbox
from agent.board import Board
from agent.collectors import Collectors
from agent.core import wire
from agent.sender import BEHIND_ALERT, DENIED_ALERT, FULL_ALERT, POISON_ALERT, Sender

STATUS_EVERY = 60.0  # seconds
BOARD_EVERY = 2.0  # seconds, at most one inventory in that time
GOODBYE = 2.0  # seconds for the last `offline`
LASTED = 60.0  # seconds; a connection that held longer starts the back-off again
LONGEST_WAIT = 60.0  # seconds between two attempts to connect
FOREIGN_MEMORY = 180.0  # seconds without a sign of the other agent until its alert is cleared
TWO_AGENTS_ALERT = "two-agents"
# those that the publisher itself raises
ALERTS = (TWO_AGENTS_ALERT, BEHIND_ALERT, DENIED_ALERT, POISON_ALERT, FULL_ALERT)

log = structlog.get_logger()


class Publisher:
    """One agent's side of the broker. Nothing here holds up an eviction: the loops only write to the board."""

    def __init__(
        self,
        *,
        connect: broker.Connect,
        topics: wire.Topics,
        board: Board,
        outbox: Outbox,
        clock: Clock,
        agent_id: str,
        collector: str = "main",
        former_alerts: Iterable[str] = ALERTS,
    ) -> None:
        """`collector` is the one whose acknowledgements count.

        `former_alerts` are ids that an earlier run may have left on the broker: cleared unless they hold.
        """
        self._connect = connect
        self._topics = topics
        self._board = board
        self._clock = clock
        self._agent_id = agent_id
        self._collector = collector
        self._sender = Sender(outbox, topics.events, board, clock)
        self._first_session = secrets.randbits(40)  # a nonce of this start; each connect adds one
        self._session = self._first_session - 1
        self._shown: dict[str, wire.Alert | None] = dict.fromkeys(former_alerts)
        self._shown_info: wire.Info | None = None
        self._shown_inventory: wire.Inventory | None = None
        self._births: tuple[datetime, ...] = ()  # the first two of this run
        self._foreign_at: float | None = None  # when the other agent was last seen
        self._trouble: type[BaseException] | None = None  # what was logged last, until the broker is back
        self._refused: set[str] = set()  # topics whose refusal is logged
        self._collectors = Collectors(clock)

    async def run(self) -> None:
        """Endless. BrokerUnavailable is weather, retried here with jitter; anything else escapes."""
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(broker.BrokerUnavailable),
            wait=tenacity.wait_random_exponential(min=0.2, max=LONGEST_WAIT),
            sleep=self._clock.sleep,
            before_sleep=self._went_down,
        ):
            with attempt:
                began = self._clock.monotonic()
                try:
                    await self._serve()
                finally:
                    if self._clock.monotonic() - began > LASTED:
                        attempt.retry_state.attempt_number = 1

    async def _serve(self) -> None:
        """One connection, from birth to its loss."""
        self._session += 1
        will = Message(self._topics.status, self._status("offline").encode(), retain=True)
        async with self._connect(will) as connection:
            try:
                await self._subscribe(connection)
                await self._be_born(connection)
                self._came_up(connection.peer)
                await tasks.alone(self._work(connection), "mqtt")
            except broker.BrokerUnavailable:
                await self._sender.broke()
                raise
            finally:
                await self._say_goodbye(connection)

    async def _work(self, connection: Connection) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(connection), name="mqtt-listen")
                group.create_task(self._beat(connection), name="mqtt-status")
                group.create_task(self._follow_board(connection), name="mqtt-board")
                group.create_task(self._answer_births(connection), name="mqtt-births")
                group.create_task(self._sender.run(connection), name="mqtt-outbox")
                group.create_task(self._sender.watch(connection), name="mqtt-resend")
        except BaseExceptionGroup as group_error:
            lost, bugs = group_error.split(broker.BrokerUnavailable)
            if lost is None or bugs is not None:
                raise
            raise lost.exceptions[0] from None

    async def _subscribe(self, connection: Connection) -> None:
        """Ask for the collectors' word, and for one's own status before the birth: so as to see what was there."""
        for topic in (self._topics.status, self._topics.ack, self._topics.collectors):
            try:
                await connection.subscribe(topic)
            except broker.SubscribeRefused as refused:
                self._log_refusal(topic, refused)

    async def _be_born(self, connection: Connection) -> None:
        """All that is retained, again."""
        self._board.changed.clear()
        self._collectors.answered()
        self._forget_shown()
        await self._say(connection, "online")
        self._births = (*self._births, self._clock.now())[:2]
        await self._show_board(connection)

    def _forget_shown(self) -> None:
        """Whatever is on the board is published again, when its turn comes."""
        self._shown_info = self._shown_inventory = None
        self._shown = dict.fromkeys(self._shown)

    async def _say(self, connection: Connection, state: Literal["online", "offline"]) -> None:
        await self._retain(connection, self._topics.status, self._status(state).encode())

    def _status(self, state: Literal["online", "offline"]) -> wire.Status:
        return wire.Status(state=state, session=self._session, at=self._clock.now(), agent_id=self._agent_id)

    async def _show_board(self, connection: Connection) -> None:
        """Publish what differs from what the broker has."""
        board = self._board
        if board.info is not None and board.info is not self._shown_info:
            self._shown_info = board.info
            await self._retain(connection, self._topics.info, board.info.encode())
        await self._show_alerts(connection)
        if board.inventory is not None and board.inventory is not self._shown_inventory:
            self._shown_inventory = board.inventory
            await self._retain(connection, self._topics.inventory, board.inventory.encode())

    async def _show_alerts(self, connection: Connection) -> None:
        standing = dict(self._board.alerts)
        for alert_id, alert in standing.items():
            if self._shown.get(alert_id) != alert:
                self._shown[alert_id] = alert
                await self._retain(connection, self._topics.alert(alert_id), alert.encode())
        for alert_id in [shown for shown in self._shown if shown not in standing]:
            await self._retain(connection, self._topics.alert(alert_id), b"")
            del self._shown[alert_id]  # only now: where the connection is lost, the next one clears it

    async def _follow_board(self, connection: Connection) -> None:
        while True:
            await self._board.changed.wait()
            self._board.changed.clear()
            await self._show_board(connection)
            await self._clock.sleep(BOARD_EVERY)

    async def _beat(self, connection: Connection) -> None:
        while True:
            await self._clock.sleep(STATUS_EVERY)
            await self._say(connection, "online")
            self._forget_foreign()

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.messages():
            if message.topic == self._topics.ack:
                await self._take_ack(message)
            elif (collector := self._topics.collector_of(message.topic)) is not None:
                self._collectors.heard(collector, message)
            else:
                await self._take_status(connection, message)

    async def _take_ack(self, message: Message) -> None:
        ack = wire.decode(wire.Ack, message.payload)
        if ack is not None and ack.collector == self._collector:
            await self._sender.acknowledged(ack.epoch, ack.seq)

    async def _answer_births(self, connection: Connection) -> None:
        """Publish everything again whenever a collector was born."""
        while True:
            await self._collectors.asked()
            log.info("a collector was born; publishing everything again", action="republish")
            await self._say(connection, "online")
            self._forget_shown()
            self._board.changed.set()
            await self._sender.show_waiting(connection)

    async def _take_status(self, connection: Connection, message: Message) -> None:
        """Watch one's own status: others may overwrite it."""
        status = wire.decode(wire.Status, message.payload)
        if message.retain:
            self._look_at_former(status)
        elif status is not None and status.state == "online":
            if status.agent_id != self._agent_id:
                self._saw_foreign()
        elif status is not None or not message.payload:
            # A late will of a former session, or somebody's clearing: we are here, so say so
            # (the bug that zigbee2mqtt had again and again: #5288, #18862).
            await self._say(connection, "online")

    def _look_at_former(self, status: wire.Status | None) -> None:
        """What was there before this birth. Between two of our own births, only another agent is born."""
        if status is None or len(self._births) < 2 or status.at < self._births[0]:
            return  # from before this run
        if status.session not in range(self._first_session, self._session):
            self._saw_foreign()

    def _saw_foreign(self) -> None:
        self._foreign_at = self._clock.monotonic()
        message = f"another agent calls itself {self._topics.host!r}; set agent.host to another name on one of them"
        self._board.raise_alert(TWO_AGENTS_ALERT, message, self._clock.now())

    def _forget_foreign(self) -> None:
        if self._foreign_at is not None and self._clock.monotonic() - self._foreign_at >= FOREIGN_MEMORY:
            self._foreign_at = None
            self._board.clear_alert(TWO_AGENTS_ALERT)

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

    async def _say_goodbye(self, connection: Connection) -> None:
        """`offline`, where the connection still holds: after a clean disconnect no will is published."""
        try:
            async with asyncio.timeout(GOODBYE):
                await self._say(connection, "offline")
        except (broker.BrokerUnavailable, TimeoutError):
            pass

    def _went_down(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is not None and type(error) is not self._trouble:
            self._trouble = type(error)
            log.warning("the broker is not reachable; retrying", action="mqtt-down", reason=str(error))

    def _came_up(self, peer: str) -> None:
        self._trouble = None
        log.info("connected to the broker", action="mqtt-up", broker=peer, session=self._session)
