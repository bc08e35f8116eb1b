"""In which tick each thing changed last."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class ChangeLog(Generic[K]):
    """The tick and the time of the last change of each key, the latest at the end.

    Reading the changes since a tick costs as much as there are changes, however many keys there are.
    """

    def __init__(self) -> None:
        self._changes: OrderedDict[K, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._changes)

    def mark(self, key: K, tick: int, at: int = 0) -> None:
        """The key changed in this tick, which is not before that of any other key."""
        self._changes[key] = tick, at
        self._changes.move_to_end(key)

    def forget(self, key: K) -> None:
        self._changes.pop(key, None)

    def since(self, tick: int) -> Iterator[tuple[K, int, int]]:
        """The keys that changed after this tick, each with its tick and time, the latest first."""
        for key, (changed, at) in reversed(self._changes.items()):
            if changed <= tick:
                return
            yield key, changed, at

    def drop_older(self, before: int, limit: int) -> int:
        """Drop what changed before this time, and the oldest above `limit`. Returns the last dropped tick, or 0."""
        last = 0
        while self._changes:
            key, (tick, at) = next(iter(self._changes.items()))
            if at >= before and len(self._changes) <= limit:
                break
            last = tick
            del self._changes[key]
        return last
