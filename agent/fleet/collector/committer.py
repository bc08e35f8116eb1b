"""Folds messages, commits what they mean, and then shows it.

The fold counts events as stored before they are on disk. So after a commit that failed or that nobody waited for, it is
made anew from the database, which alone says what has arrived.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

import structlog
import tenacity

from agent import aio
from agent.adapters.clock import Clock
from agent.core.protocol.topics import Topics
from agent.fleet.collector.batch import Batch, Committed, Incoming, Source, StreamState
from agent.fleet.collector.fold import Fold
from agent.fleet.collector.publishing import WatermarkPublisher
from agent.fleet.collector.undecodable import UndecodableAlerts
from agent.fleet.history.errors import HistoryUnavailable

RETRY_MAX = 15.0  # seconds between two attempts to commit

T = TypeVar("T")
Show = Callable[[Batch, Committed], None]

log = structlog.get_logger()


def _ignore(_seconds: float) -> None:
    pass


class History(Protocol):
    """What the committer needs of the history. Its methods raise HistoryUnavailable."""

    async def commit(self, batch: Batch) -> Committed: ...
    async def load_streams(self) -> dict[Source, StreamState]: ...
    async def load_digests(self) -> dict[str, bytes]: ...


class Committer:
    """Stores messages. While the database does not take them, it waits and tries again, for as long as it takes."""

    def __init__(
        self,
        topics: Topics,
        history: History,
        clock: Clock,
        *,
        watermarks: WatermarkPublisher,
        show: Show,
        took: Callable[[float], None] = _ignore,
    ) -> None:
        """`show` is called with each batch after its commit, `took` with the seconds that the commit took."""
        self._topics = topics
        self._history = history
        self._clock = clock
        self._watermarks = watermarks
        self._show = show
        self._took = took
        self._undecodable = UndecodableAlerts(topics)
        self._fold: Fold | None = None  # None: to be made from the database
        self.last_commit: datetime | None = None
        self.error = ""  # why the database takes nothing now; "" while it does

    async def begin(self) -> None:
        """Load what has arrived so far."""
        self._fold = await self._retrying(self._load)

    async def store(self, messages: Sequence[Incoming]) -> None:
        """Return once these messages are on disk, or cannot be stored in any way; then they may be acknowledged."""
        try:
            await self._store(messages)
        except Exception:
            log.exception("a batch of messages cannot be stored; trying one by one", action="discard")
            for message in messages:
                await self._store_alone(message)

    async def _store(self, messages: Sequence[Incoming]) -> None:
        fold = self._fold
        if fold is None:
            fold = await self._retrying(self._load)
        self._fold = None
        batch = fold.apply(messages, self._clock.now())
        await self._commit(batch)
        self._fold = fold
        fold.settle(batch.streams)

    async def _store_alone(self, message: Incoming) -> None:
        """A message that the database rejects whenever it comes must not hold up the whole fleet."""
        try:
            await self._store([message])
        except Exception:
            log.exception("a message cannot be stored; it was discarded", action="discard", topic=message.topic)
            await self._commit(Batch(self._clock.now(), undecodable=[message.topic]))

    async def _commit(self, batch: Batch) -> None:
        batch.changes += self._undecodable.changes(batch.undecodable, batch.at)

        async def commit() -> None:
            began = self._clock.monotonic()
            committed = await self._history.commit(batch)
            self._took(self._clock.monotonic() - began)
            batch.streams.update(committed.streams)
            self._watermarks.update(batch.streams)
            self._show(batch, committed)

        # If it is cancelled, the database may or may not have the batch, and viewers would never see it.
        await self._retrying(lambda: aio.uninterrupted(commit()))
        self.last_commit = self._clock.now()

    async def _load(self) -> Fold:
        streams = await self._history.load_streams()
        self._watermarks.load(streams)
        return Fold(self._topics, streams, await self._history.load_digests())

    async def _retrying(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of work on the database, once that is available."""
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
