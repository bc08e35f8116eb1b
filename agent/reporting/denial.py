"""Whether the broker accepts events at all, and when to test it again if it does not.

An MQTT 5 broker reports that it denies a topic. Other brokers close the connection, and then the row in flight seems to
be the cause. So before a row is blamed, a probe (the empty message `topics.PROBE`) is published to the topic alone. If
the connection ends again, the topic is denied, and all rows wait.
"""

ENDS = 2  # probes in a row after which the connection ends, before the topic counts as denied
FIRST_PAUSE = 60.0  # seconds until the next probe
LONGEST_PAUSE = 600.0  # seconds; if the broker closes the connection, each probe costs one


class Denial:
    """The results of the probes."""

    def __init__(self) -> None:
        self.standing = False  # the last message was not accepted: only a probe may be published
        self.probing = False  # a probe was published and is not answered yet
        self.reason = ""  # why the topic counts as denied; "" if it does not
        self._ends = 0
        self._pause = FIRST_PAUSE
        self._not_before = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next probe."""
        return max(0.0, self._not_before - now)

    def refused(self, reason: str, now: float) -> None:
        """Record that the broker refused a message. The connection stays open, so a probe is cheap."""
        self._deny(reason)
        self._not_before = now + FIRST_PAUSE

    def connection_ended(self, now: float) -> None:
        """Record that the connection ended after a probe, or that the probe got no answer."""
        self.probing, self.standing = False, True
        self._ends += 1
        if self._ends >= ENDS:
            self._deny("even an empty message there ends the connection or gets no answer")
            self._not_before = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def accepted(self) -> None:
        """Record that the broker accepted a probe or a row."""
        self.probing = self.standing = False
        self.reason, self._ends, self._pause, self._not_before = "", 0, FIRST_PAUSE, 0.0

    def _deny(self, reason: str) -> None:
        self.probing, self.standing, self.reason = False, True, reason
