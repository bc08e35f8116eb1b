"""The topics on which the broker refuses this agent's messages: one line of the log for each connection names them all.

A user without rights is refused on every topic, so a line for each would hide the cause.
"""

import structlog

from agent.core import text
from agent.core.protocol.topics import Topics

log = structlog.get_logger()


class Refusals:
    """Collects the refusals of a connection."""

    def __init__(self, topics: Topics, username: str) -> None:
        """`username`: at the broker; "" if the broker takes it from a certificate, or does not ask for one."""
        self._topics = topics
        self._username = username
        self._noted: dict[str, str] = {}  # topic -> the reason, in the order of the refusals
        self._logged = False

    def begin(self) -> None:
        """Start a new connection, which is logged anew."""
        self._noted.clear()
        self._logged = False

    def note(self, topic: str, reason: str) -> None:
        """Record that the broker refused a message on a topic."""
        self._noted.setdefault(topic, reason)

    def log(self) -> None:
        """Log what was refused on this connection, once."""
        if self._logged or not self._noted:
            return
        self._logged = True
        more = len(self._noted) - text.MOST_LISTED
        listed = ", ".join(list(self._noted)[: text.MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
        log.warning(
            "the broker refuses topics of this host",
            action="mqtt-refused",
            topics=listed,
            reason=next(iter(self._noted.values())),
            hint=rights(self._topics, self._username),
        )


def rights(topics: Topics, username: str) -> str:
    """What to do about refusals: let the user write its host's topics, or use the names that the ACL expects."""
    own = topics.status.removesuffix("/status")
    hint = f"let the user write to {own}/# and read {topics.status}; docs/mqtt.md has an ACL"
    if not username or username == topics.host:
        return hint
    return (
        f"{hint}; the login is {username!r} but the host is {topics.host!r}: with that ACL both names must be the same,"
        f" so set mqtt.username to {topics.host!r} or agent.host to {username!r}"
    )
