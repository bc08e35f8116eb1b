"""Detects work that hangs: each piece of work enters the Pulse with the time that it may take without progress.

A loop that waits for something to do is not work, so an agent that sleeps for days does not hang.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from agent.core import units

LIMIT = 1800.0  # seconds; each call to the engine ends far earlier by its own time-out


@dataclass(slots=True)
class _Work:
    name: str
    limit: float
    since: float


class Pulse:
    """The pieces of work of one agent that are under way."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._works: list[_Work] = []

    @contextmanager
    def busy(self, name: str, limit: float = LIMIT) -> Iterator[None]:
        """Be at work in the block. `limit`: seconds until it counts as hanging."""
        work = _Work(name, limit, self._monotonic())
        self._works.append(work)
        try:
            yield
        finally:
            self._works = [other for other in self._works if other is not work]

    def renew(self, name: str) -> None:
        """Record that this work made progress: its time begins anew."""
        for work in self._works:
            if work.name == name:
                work.since = self._monotonic()

    def over_limit(self) -> dict[str, str]:
        """The name of each work that is over its limit, with a sentence about it."""
        now = self._monotonic()
        return {
            work.name: f"no progress of the {work.name} for {_duration(now - work.since)}"
            for work in self._works
            if now - work.since > work.limit
        }


def _duration(seconds: float) -> str:
    return units.format_duration(timedelta(seconds=seconds))
