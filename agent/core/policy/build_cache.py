"""The engine's build cache: which records were not used for long enough to go."""

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
        """Since its last use, else since it was made; nothing at all where neither is known."""
        at = self.last_used or self.created
        return max(now - at, timedelta()) if at is not None else timedelta()


def stale(records: Iterable[CacheRecord], after: timedelta, now: datetime) -> tuple[CacheRecord, ...]:
    """The records that nothing uses and that were not used for so long."""
    return tuple(record for record in records if not record.in_use and record.unused_for(now) >= after)
