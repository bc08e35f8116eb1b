"""Whether the broker accepts events at all, and when to ask again where it does not.

An MQTT 5 broker says that it denies a topic. Other brokers hang up, and then the row in flight looks guilty. So before
a row is blamed, an empty message (`topics.PROBE`) is published to the topic alone. If that ends the connection too, the
topic is denied, and every row waits.
"""

ENDS = 2  # probes in a row that end the connection, before the topic counts as denied
FIRST_PAUSE = 60.0  # seconds until the next probe
LONGEST_PAUSE = 600.0  # seconds; where the broker hangs up, each probe costs a connection


class Denial:
    """The results of the probes."""

    def __init__(self) -> None:
        self.standing = False  # the last answer was no: only a probe may be published
        self.probing = False  # a probe waits for its answer
        self.reason = ""  # why the topic counts as denied; "": it does not
        self._ends = 0
        self._pause = FIRST_PAUSE
        self._not_before = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next probe."""
        return max(0.0, self._not_before - now)

    def refused(self, reason: str, now: float) -> None:
        """The broker refused a message. The connection lives on, so a probe is cheap."""
        self._deny(reason)
        self._not_before = now + FIRST_PAUSE

    def connection_ended(self, now: float) -> None:
        """The connection ended over a probe, or the probe got no answer."""
        self.probing, self.standing = False, True
        self._ends += 1
        if self._ends >= ENDS:
            self._deny("an empty message there ends the connection too, or gets no answer")
            self._not_before = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def accepted(self) -> None:
        """The broker accepted a probe or a row."""
        self.probing = self.standing = False
        self.reason, self._ends, self._pause, self._not_before = "", 0, FIRST_PAUSE, 0.0

    def _deny(self, reason: str) -> None:
        self.probing, self.standing, self.reason = False, True, reason
