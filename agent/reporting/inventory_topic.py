"""Publishes the inventory no more often than needed, as it is by far the largest message."""

from collections.abc import Awaitable, Callable

from agent.adapters.clock import Clock
from agent.core.protocol.alerts import AlertId
from agent.reporting.host_report import HostReport
from agent.reporting.pace import ENDS, Pace

JITTER = 30.0  # seconds at most until the first inventory after a reconnect, when the whole fleet sends one

Retain = Callable[[str, bytes], Awaitable[None]]


class InventoryTopic:
    """Publishes the host report's inventory when `Pace` allows it, over any number of connections."""

    def __init__(
        self, topic: str, host_report: HostReport, clock: Clock, every: float, chance: Callable[[], float]
    ) -> None:
        """`every`: seconds between two inventories, if no action changes. `chance` returns a number from 0 up to 1."""
        self._topic = topic
        self._host_report = host_report
        self._clock = clock
        self._chance = chance
        self._pace = Pace(every)
        self._in_flight = 0  # bytes

    def begin(self, *, fleet_returns: bool) -> None:
        """Start a new connection. `fleet_returns`: the whole fleet may have lost the broker and reconnect at once."""
        self._pace.begin(self._clock.monotonic(), JITTER * self._chance() if fleet_returns else 0.0)

    def wait(self) -> float | None:
        """Seconds until the inventory may be published; None if it contains nothing new."""
        return self._pace.wait(self._host_report.inventory, self._clock.monotonic())

    async def show(self, retain: Retain) -> None:
        """Publish the inventory if it may be published now. Raises BrokerUnavailable; then call `connection_ended`."""
        pending = self._host_report.inventory
        if pending is None or self.wait() != 0:
            return
        inventory = await pending.built()
        if not self._pace.is_new(pending, inventory):
            return
        payload = inventory.encode()
        self._pace.published(pending, inventory, self._clock.monotonic())
        self._in_flight = len(payload)
        await retain(self._topic, payload)
        self._in_flight = 0
        self._pace.answered()
        self._host_report.clear_alert(AlertId.INVENTORY_NOT_TAKEN)

    def connection_ended(self) -> None:
        """Leave the inventory out for a while if several connections in a row ended while it was sent."""
        size, self._in_flight = self._in_flight, 0
        if not size:
            return
        self._pace.connection_ended(self._clock.monotonic())
        if self._pace.ends >= ENDS:
            message = (
                f"{self._pace.ends} connections in a row ended while the inventory ({size} bytes) was sent; the agent"
                " tries again at intervals: does the broker limit the size of a message? mqtt.compress = true makes it"
                " smaller"
            )
            self._host_report.raise_alert(AlertId.INVENTORY_NOT_TAKEN, message, self._clock.now())
