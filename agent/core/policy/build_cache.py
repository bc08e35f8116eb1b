"""The engine's build cache: which records have been unused for long enough to be removed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRecord:
    """One record of BuildKit's cache."""

    id: str
    size_bytes: int
    created: datetime | None = None
    last_used: datetime | None = None
    in_use: bool = False

    def unused_for(self, now: datetime) -> timedelta:
        """The time since its last use, else since its creation; 0 if neither is known."""
        at = self.last_used or self.created
        return max(now - at, timedelta()) if at is not None else timedelta()


def stale(records: Iterable[CacheRecord], after: timedelta, now: datetime) -> tuple[CacheRecord, ...]:
    """The records that are not in use and have been unused for at least `after`."""
    return tuple(record for record in records if not record.in_use and record.unused_for(now) >= after)
