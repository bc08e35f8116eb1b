"""Times as rows have them."""

from datetime import datetime


def milliseconds(at: datetime) -> int:
    """A time as milliseconds since 1970."""
    return int(at.timestamp() * 1000)
