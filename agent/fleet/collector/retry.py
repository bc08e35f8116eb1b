"""Waits for a database that takes nothing, for as long as it takes."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import tenacity

from agent.adapters.clock import Clock
from agent.fleet.history.errors import HistoryUnavailable

RETRY_MAX = 15.0  # seconds between two attempts

T = TypeVar("T")

log = structlog.get_logger()


class Retry:
    """Repeats work on the database until it succeeds. `error`: why it does not now; "" while it does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.error = ""

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of the work, once the database is available. Any error but HistoryUnavailable escapes."""
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(HistoryUnavailable),
            wait=tenacity.wait_random_exponential(min=0.2, max=RETRY_MAX),
            sleep=self._clock.sleep,
            before_sleep=self._note_failure,
        ):
            with attempt:
                result = await work()
        self._note_success()
        return result

    def _note_failure(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if not self.error:
            log.error("the database takes nothing; nothing is acknowledged", action="history-down", reason=str(error))
        self.error = str(error)

    def _note_success(self) -> None:
        if self.error:
            self.error = ""
            log.info("the database works again", action="history-up")
