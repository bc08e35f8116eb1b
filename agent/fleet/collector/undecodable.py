"""Alerts for messages that cannot be read. Pure.

Such a message is acknowledged and discarded: it would be the same the next time. Somebody should know, as it may come
from an agent that is newer than this monitor, or from a program that is no agent.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.core.protocol import payloads
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import AlertChange

ALERT = "undecodable-message"
STANDS_FOR = timedelta(hours=1)  # after the last such message of a host
MOST_HOSTS = 1000  # with such an alert at a time: a name in a topic can be made up


@dataclass(slots=True)
class UndecodableAlerts:
    """The hosts below whose topics something arrived that cannot be read, and when it did last."""

    topics: Topics
    _since: dict[str, datetime] = field(default_factory=dict)
    _last: dict[str, datetime] = field(default_factory=dict)

    def changes(self, undecodable: Iterable[str], now: datetime) -> list[AlertChange]:
        """The alerts that begin with these topics or go on, and those that end."""
        found = {parsed[0]: topic for topic in undecodable if (parsed := self.topics.parse(topic)) is not None}
        return [
            *self._ended(now),
            *(self._standing(host, topic, now) for host, topic in found.items() if self._room(host)),
        ]

    def _room(self, host: str) -> bool:
        return host in self._last or len(self._last) < MOST_HOSTS

    def _standing(self, host: str, topic: str, now: datetime) -> AlertChange:
        self._last[host] = now
        message = f"a message on {topic} cannot be read and was discarded; is the agent newer than this monitor?"
        since = self._since.setdefault(host, now)
        alert = payloads.Alert(id=ALERT, severity="warning", message=message, since=since)
        return AlertChange(host, ALERT, alert, now)

    def _ended(self, now: datetime) -> list[AlertChange]:
        over = [host for host, at in self._last.items() if now - at >= STANDS_FOR]
        for host in over:
            del self._last[host], self._since[host]
        return [AlertChange(host, ALERT, None, now) for host in over]
