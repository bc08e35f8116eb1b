"""How full a file system is, computed as in `df`: space reserved for root counts as neither used nor free."""

from dataclasses import dataclass
from math import ceil

from agent.core import units


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """Bytes and inodes of a file system. Both inode counts are 0 if it does not count inodes."""

    used_bytes: int
    available_bytes: int  # to all users: without the space reserved for root
    used_inodes: int = 0
    available_inodes: int = 0

    @property
    def usable_bytes(self) -> int:
        """The size without the space reserved for root: `used_bytes` of it is the percentage that `df` shows."""
        return self.used_bytes + self.available_bytes

    @property
    def used_fraction(self) -> float:
        """The used fraction, from 0 to 1, of bytes or of inodes, whichever is larger."""
        return max(
            _used_fraction(self.used_bytes, self.available_bytes),
            _used_fraction(self.used_inodes, self.available_inodes),
        )

    def describe(self) -> str:
        """How full it is, for people: `33% of 109 GB used`; the inodes if a larger part of them is used."""
        share = f"{_used_fraction(self.used_bytes, self.available_bytes):.0%}"
        by_bytes = f"{share} of {units.format_bytes(self.usable_bytes)} used"
        return by_bytes if self.bottleneck == "bytes" else f"{self.used_fraction:.0%} of its inodes used; {by_bytes}"

    @property
    def bottleneck(self) -> str:
        """Whichever of "bytes" and "inodes" has the larger used fraction."""
        by_bytes = _used_fraction(self.used_bytes, self.available_bytes)
        return "bytes" if by_bytes >= _used_fraction(self.used_inodes, self.available_inodes) else "inodes"

    def bytes_over(self, share: float) -> int:
        """The bytes to free until neither fraction is above `share`. An inode counts as the average size of a file.

        More than 0 exactly if `used_fraction` is above `share`.
        """
        if self.used_fraction <= share:
            return 0
        over_bytes = self.used_bytes - share * (self.used_bytes + self.available_bytes)
        over_inodes = self.used_inodes - share * (self.used_inodes + self.available_inodes)
        average = self.used_bytes / self.used_inodes if self.used_inodes else 0.0
        return max(1, ceil(max(over_bytes, over_inodes * average)))


def _used_fraction(used: int, available: int) -> float:
    return used / (used + available) if used + available else 0.0
