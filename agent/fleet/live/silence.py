"""Finds hosts that are silent, without a look at each host at each tick."""

import heapq
from collections.abc import Iterator


class SilenceTimer:
    """When each host is to be looked at again. Times are milliseconds; a host has one entry."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._waiting: set[str] = set()

    def watch(self, host: str, at: int) -> None:
        """Look at the host at this time, unless it is being watched already."""
        if host not in self._waiting:
            self._waiting.add(host)
            heapq.heappush(self._heap, (at, host))

    def due(self, now: int) -> Iterator[str]:
        """The hosts whose time has come. They are no longer watched."""
        while self._heap and self._heap[0][0] <= now:
            _, host = heapq.heappop(self._heap)
            self._waiting.discard(host)
            yield host
