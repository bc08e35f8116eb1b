"""The agent's subscriptions: requested again while the broker refuses them, and left out for a while after a flood.

While a cluster elects a leader, it may refuse a subscription that it would grant seconds later, or grant one and then
deliver nothing. So the first answer is not final: the agent requests again, after seconds at first and then every
minute. After a flood it publishes without subscribing for a while.
"""

from collections.abc import Callable
from itertools import chain, repeat

import structlog

from agent.adapters import broker
from agent.adapters.clock import Clock
from agent.core.protocol.alerts import AlertId
from agent.core.protocol.topics import Topics
from agent.reporting.host_report import HostReport

ASK_AGAIN_AFTER = (2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between the first requests on a connection
ASK_AGAIN_EVERY = 60.0  # seconds between later ones
FIRST_PAUSE = 60.0  # seconds without subscriptions after a flood; doubles with each further flood
LONGEST_PAUSE = 3600.0  # seconds
CALM = 60.0  # seconds of being subscribed without a flood, after which the flood counts as over

log = structlog.get_logger()


class Subscriptions:
    """Subscribes to the own status, acknowledgements and the collectors' status, over any number of connections."""

    def __init__(self, topics: Topics, host_report: HostReport, clock: Clock) -> None:
        self._topics = (topics.status, topics.ack, topics.collectors)
        self._ack = topics.ack
        self._host_report = host_report
        self._clock = clock
        self._missing = set(self._topics)
        self._logged: set[str] = set()  # topics whose refusal is logged; that of acknowledgements is an alert
        self._subscribed_at = 0.0  # when this connection first requested them
        self._not_before = 0.0  # no request until then
        self._pause = FIRST_PAUSE
        self.flooding = False  # from a flood until it counts as over

    def begin(self) -> None:
        """Start a new connection, which has no subscriptions yet."""
        self._missing = set(self._topics)

    async def request(self, connection: broker.Connection) -> None:
        """Request the topics that the broker has not granted yet. Call it once per connection; `keep` repeats it."""
        now = self._clock.monotonic()
        if now < self._not_before:
            return
        if self._missing == set(self._topics):
            self._subscribed_at = now
        refused: dict[str, str] = {}
        for topic in [topic for topic in self._topics if topic in self._missing]:
            if why := await self._request(connection, topic):
                refused[topic] = why
        self._log_refusals(refused)
        if self.flooding and now - self._subscribed_at >= CALM:
            self._end_flood()

    async def keep(self, connection: broker.Connection, is_ack_overdue: Callable[[], bool]) -> None:
        """Request missing subscriptions again, endlessly. Raises BrokerUnavailable.

        While an acknowledgement is overdue, the topic of acknowledgements counts as missing: each new subscription
        makes the broker deliver the retained acknowledgement.
        """
        for pause in chain(ASK_AGAIN_AFTER, repeat(ASK_AGAIN_EVERY)):
            await self._clock.sleep(pause)
            if is_ack_overdue():
                self._missing.add(self._ack)
            await self.request(connection)

    def note_flood(self, error: broker.Flooded) -> None:
        """Record that the client ended the connection because the broker sent far too much."""
        self._not_before = self._clock.monotonic() + self._pause
        self.flooding = True
        message = (
            f"{error}; the agent publishes without subscriptions for {self._pause / 60:.0f} min: "
            f"who publishes to {' or '.join(self._topics)}?"
        )
        self._host_report.raise_alert(AlertId.BROKER_FLOOD, message, self._clock.now())
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _end_flood(self) -> None:
        self.flooding, self._pause = False, FIRST_PAUSE
        self._host_report.clear_alert(AlertId.BROKER_FLOOD)

    async def _request(self, connection: broker.Connection, topic: str) -> str:
        """Request one topic. Returns why the broker refuses it; "" if it grants it."""
        try:
            await connection.subscribe(topic)
        except broker.SubscribeRefused as refused:
            if topic == self._ack:
                self._alert(refused)
            return str(refused)
        self._missing.discard(topic)
        self._logged.discard(topic)
        if topic == self._ack:
            self._host_report.clear_alert(AlertId.ACKS_DENIED)
        return ""

    def _log_refusals(self, refused: dict[str, str]) -> None:
        """Log the topics whose refusal is new, in one line; that of acknowledgements is an alert, which is logged."""
        new = [topic for topic in refused if topic not in self._logged and topic != self._ack]
        self._logged.update(new)
        if new:
            topics, reason = ", ".join(new), refused[new[0]]
            log.warning("the broker refuses subscriptions", action="mqtt-refused", topics=topics, reason=reason)

    def _alert(self, refused: broker.SubscribeRefused) -> None:
        message = (
            f"the agent cannot receive the collector's acknowledgements; it subscribes again each minute: {refused}"
        )
        self._host_report.raise_alert(AlertId.ACKS_DENIED, message, self._clock.now())
