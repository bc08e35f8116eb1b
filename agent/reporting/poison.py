"""Finds the row that makes the broker end the connection whenever it is sent.

Brokers also end connections for other reasons, even repeatedly, and then the row in flight is not the cause. So a row
is blamed only if it was the only one in flight, several times in a row, on connections that were stable until then.
"""

BREAKS = 5  # disconnects while one row is in flight, before it is set aside
STEADY_AFTER = 2  # disconnects over one row, after which a connection must be stable for a while before it gets the row
DOUBT = 10  # factor on the number of disconnects, for each sign that something other than the row is the cause
MOST_DOUBT = 3  # such signs that count


class PoisonDetector:
    """The suspected row, and how many connections in a row ended while it was in flight."""

    def __init__(self, window: int) -> None:
        """`window`: how many rows may be in flight, so how many one disconnect makes suspect."""
        self._window = window
        self._suspect = 0
        self._breaks = 0
        self._single = 0  # rows to send one by one, from the suspect on, so that the next disconnect identifies the row
        self._delivered = 0  # the last row that a broker accepted
        self._quarantined = 0  # rows set aside since a broker accepted one; if it accepts none, the broker is the cause

    @property
    def needs_stable_connection(self) -> bool:
        """Whether a connection must be stable for a while before it gets a row; otherwise its end proves nothing."""
        return self._breaks >= STEADY_AFTER

    def must_isolate(self, seq: int) -> bool:
        """Whether this row must be the only one in flight."""
        return self._single > 0 and seq >= self._suspect

    def record_reply(self, seq: int, *, taken: bool) -> None:
        """Record that the broker accepted (`taken`) or refused a row: that row did not end the connection."""
        if self.must_isolate(seq):
            self._single -= 1
        if seq == self._suspect:
            self._breaks = 0
        if taken:
            self._delivered = max(self._delivered, seq)
            self._quarantined = 0

    def record_topic_accepted(self) -> None:
        """Record that the broker accepted another message on this topic: the topic does not cause the rejections."""
        self._quarantined = 0

    def clear_suspect(self) -> None:
        """Reset the count of disconnects: the broker accepts nothing on this topic, so the suspect is not the cause."""
        self._breaks = 0

    def record_disconnect(self, seq: int) -> int:
        """Record that the connection ended while this row was in flight.

        Returns the number of such disconnects once they are enough to set the row aside, else 0.
        """
        self._single = self._window
        self._breaks = self._breaks + 1 if seq == self._suspect else 1
        self._suspect = seq
        breaks = self._breaks
        if breaks < BREAKS * DOUBT ** self._doubts(seq):
            return 0
        self._quarantined += 1
        self._breaks = 0
        return breaks

    def _doubts(self, seq: int) -> int:
        return min(MOST_DOUBT, self._quarantined + (1 if seq <= self._delivered else 0))
