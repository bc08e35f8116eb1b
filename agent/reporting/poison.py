"""Which row ends the connections that carry it: judged by what became of those connections.

Brokers die for reasons of their own, again and again, and the row in flight is then a bystander. So a row is blamed
only where it flew alone, time after time, on connections that had held until it was sent.
"""

BREAKS = 5  # connections that end over one row, before it is set aside
STEADY_AFTER = 2  # breaks over one row, after which a connection must hold for a while before the row is sent on it
DOUBT = 10  # times as many breaks, for each reason to think that the fault is not the row's own
MOST_DOUBT = 3  # such reasons that count


class PoisonDetector:
    """The suspect, and how many connections in a row ended over it."""

    def __init__(self, window: int) -> None:
        """`window`: how many rows may be in flight, and so how many one break brings under suspicion."""
        self._window = window
        self._suspect = 0
        self._breaks = 0
        self._single = 0  # rows to send one by one, from the suspect on: so the next break shows which it was
        self._delivered = 0  # the last row that some broker took
        self._aside = 0  # rows set aside since a broker took one: where it takes none, the fault is its own

    @property
    def needs_stable_connection(self) -> bool:
        """Whether a connection must hold for a while before it gets a row: else its end proves nothing."""
        return self._breaks >= STEADY_AFTER

    def must_isolate(self, seq: int) -> bool:
        """Whether this row is to fly alone."""
        return self._single > 0 and seq >= self._suspect

    def record_reply(self, seq: int, *, taken: bool) -> None:
        """The broker answered to a row, and took it or refused it: it ends no connection."""
        if self.must_isolate(seq):
            self._single -= 1
        if seq == self._suspect:
            self._breaks = 0
        if taken:
            self._delivered = max(self._delivered, seq)
            self._aside = 0

    def topic_works(self) -> None:
        """The broker accepted another message on this topic, so the topic is not the cause of a rejection."""
        self._aside = 0

    def acquit(self) -> None:
        """The broker accepts nothing on this topic, so the breaks say nothing about the suspect."""
        self._breaks = 0

    def record_disconnect(self, seq: int) -> int:
        """A connection ended over this row. How many ended so, where that is enough to set it aside; else 0."""
        self._single = self._window
        self._breaks = self._breaks + 1 if seq == self._suspect else 1
        self._suspect = seq
        breaks = self._breaks
        if breaks < BREAKS * DOUBT ** self._doubts(seq):
            return 0
        self._aside += 1
        self._breaks = 0
        return breaks

    def _doubts(self, seq: int) -> int:
        return min(MOST_DOUBT, self._aside + (1 if seq <= self._delivered else 0))
