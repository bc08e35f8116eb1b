"""When the inventory may be published: rarely, as it is by far the largest message and most of it does not change."""

from collections.abc import Mapping

from agent.core.protocol import payloads
from agent.reporting.pending_inventory import PendingInventory

ROUNDING = 0.01  # seconds; a sleep may end slightly early
ENDS = 2  # connections in a row that end while the inventory is sent, before it is left out for a while
FIRST_PAUSE = 60.0  # seconds until it is tried again
LONGEST_PAUSE = 600.0  # seconds; each try may cost a connection


class Pace:
    """Compares each inventory with the last published one. Times are seconds of a monotonic clock.

    The contents are compared only once the inventory may be published, because it is built only then.
    """

    def __init__(self, every: float) -> None:
        """`every`: seconds between two inventories, if no action changes."""
        self._every = every
        self._published: payloads.Inventory | None = None  # None: not yet on this connection
        self._actions: Mapping[str, str] = {}  # of the published one
        self._considered: PendingInventory | None = None  # published, or found to contain nothing new
        self._not_before = 0.0
        self.ends = 0  # connections in a row that ended while the inventory was sent
        self._pause = FIRST_PAUSE
        self._barred_until = 0.0

    def begin(self, now: float, pause: float) -> None:
        """Start a new connection: publish again after `pause` seconds, as the broker may have lost everything."""
        self._published, self._considered, self._not_before = None, None, now + pause

    def wait(self, pending: PendingInventory | None, now: float) -> float | None:
        """Seconds until this inventory may be published; None if it is known to contain nothing new."""
        if pending is None or pending is self._considered:
            return None
        urgent = self._published is not None and pending.actions != self._actions
        left = (self._barred_until if urgent else max(self._not_before, self._barred_until)) - now
        return left if left > ROUNDING else 0.0

    def is_new(self, pending: PendingInventory, inventory: payloads.Inventory) -> bool:
        """Whether it differs from the last published one by more than its time. If not, `wait` returns None for it."""
        if self._published is not None and _same_content(inventory, self._published):
            self._considered = pending
            return False
        return True

    def published(self, pending: PendingInventory, inventory: payloads.Inventory, now: float) -> None:
        """Record that this inventory was sent."""
        self._considered, self._actions = pending, pending.actions
        self._published, self._not_before = inventory, now + self._every

    def answered(self) -> None:
        """Record that the broker accepted or refused the inventory."""
        self.ends, self._pause = 0, FIRST_PAUSE

    def connection_ended(self, now: float) -> None:
        """Record that the connection ended before the answer: the broker may not accept so large a message."""
        self.ends += 1
        if self.ends >= ENDS:
            self._barred_until = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)


def _same_content(one: payloads.Inventory, other: payloads.Inventory) -> bool:
    return one.model_copy(update={"at": other.at}) == other
