"""The inventory of a plan, built only if somebody reads it: without a broker nobody does."""

from collections.abc import Awaitable, Callable, Mapping

from agent.core.protocol import payloads


class PendingInventory:
    """An inventory that is built at most once, when it is needed first."""

    def __init__(self, actions: Mapping[str, str], build: Callable[[], Awaitable[payloads.Inventory]]) -> None:
        """`actions`: the action of each image, by its ID, which can be compared without building the inventory."""
        self.actions = actions
        self._build = build
        self._built: payloads.Inventory | None = None

    @classmethod
    def of(cls, inventory: payloads.Inventory) -> "PendingInventory":
        """One that is built already."""

        async def build() -> payloads.Inventory:
            return inventory

        return cls({image.id: image.action for image in inventory.images}, build)

    async def built(self) -> payloads.Inventory:
        if self._built is None:
            self._built = await self._build()
        return self._built
