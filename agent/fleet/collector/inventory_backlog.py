"""The inventories that viewers see already, and whose images are not stored yet: the last one of each host. Pure.

They wait compressed, as those of 10,000 hosts are 100 MB. A kill loses nothing: the digest of an inventory is stored
with its images, so the broker's retained copy is news for the next run.
"""

import zlib
from dataclasses import dataclass, replace

from agent.fleet.collector.batch import InventoryChange

FULL = 24_000_000  # compressed bytes; then storing comes first
AT_ONCE = 100  # inventories that are stored together
AT_ONCE_BYTES = 2_000_000  # of their JSON; decoded it takes three times as much
_LEVEL = 1  # the other levels take longer, and save little


@dataclass(frozen=True, slots=True)
class _Waiting:
    packed: InventoryChange  # its text is compressed
    size: int  # bytes of the text
    since: float  # when the first one of this host that was not stored came

    def unpacked(self) -> InventoryChange:
        return replace(self.packed, text=zlib.decompress(self.packed.text))


class InventoryBacklog:
    """`now` is always in seconds of a clock that never jumps."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}  # the one that has waited for the longest time is the first
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, host: str) -> bool:
        return host in self._waiting

    @property
    def is_full(self) -> bool:
        return self._bytes >= FULL

    def longest_wait(self, now: float) -> float:
        """For how many seconds the first one has waited; 0 if there is none."""
        return next((now - one.since for one in self._waiting.values()), 0.0)

    def put(self, change: InventoryChange, now: float) -> None:
        """Add an inventory. It takes the place of the one of its host that waits."""
        before = self._waiting.get(change.host)
        packed = replace(change, text=zlib.compress(change.text, _LEVEL))
        self._bytes += len(packed.text) - (len(before.packed.text) if before else 0)
        self._waiting[change.host] = _Waiting(packed, len(change.text), before.since if before else now)

    def first(self) -> list[InventoryChange]:
        """Those that have waited for the longest time, as many as are stored together. They still wait."""
        found: list[InventoryChange] = []
        size = 0
        for one in self._waiting.values():
            size += one.size
            if found and (len(found) >= AT_ONCE or size > AT_ONCE_BYTES):
                break
            found.append(one.unpacked())
        return found

    def of(self, host: str) -> list[InventoryChange]:
        """The one of a host, if it waits."""
        return [self._waiting[host].unpacked()] if host in self._waiting else []

    def remove(self, *hosts: str) -> None:
        for host in hosts:
            if (one := self._waiting.pop(host, None)) is not None:
                self._bytes -= len(one.packed.text)
