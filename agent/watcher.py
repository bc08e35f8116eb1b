"""The life of the event stream: connect, catch up, follow, and again when it ends.

At every (re)connection: subscribe first, list then, read the ring, apply what was told, take the listing as the
truth, and prove that nothing fell out in between, or record the blind time. Only then may anything be evicted.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never, wait_exponential, wait_random

from agent.adapters.clock import Clock
from agent.adapters.database import StateFull
from agent.adapters.engine import Engine, EngineError, EngineUnavailable
from agent.board import Board
from agent.buffer import StreamEnded
from agent.core.events import EngineEvent
from agent.intake import Intake

log = structlog.get_logger()

BEAT = 15.0  # seconds between pings; also how exactly the end of the watch is known after a SIGKILL
RELIST_AFTER = 0.3  # seconds after an image event, for a pull or a build raises several
RELIST_EVERY = 3600.0  # seconds; BuildKit can make an image without any event
STOPPING = 15.0  # seconds that an engine may take to end: its socket goes first, its stream up to 10 s later
PAUSE = 0.2  # seconds between the end of one stream and the next
LONGEST_WAIT = 30.0  # seconds between attempts to reach the engine


class Watcher:
    """Feeds an Intake from one engine, for ever."""

    def __init__(self, engine: Engine, intake: Intake, clock: Clock, board: Board) -> None:
        self.ready = asyncio.Event()  # set while the sight is proven
        self._engine = engine
        self._intake = intake
        self._clock = clock
        self._board = board

    async def run(self) -> None:
        """Watch for ever: through restarts of the engine, and a full disk under the state."""
        while True:
            await self._until_connected()

    async def _until_connected(self) -> None:
        """Sessions, one after another; the waits grow only while none gets as far as being proven."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((EngineError, StateFull)),
            wait=wait_exponential(multiplier=0.2, max=LONGEST_WAIT) + wait_random(0, 1),
            stop=stop_never,
            sleep=self._clock.sleep,
            before_sleep=self._note_down,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                try:
                    await self.session()
                except StreamEnded as ended:
                    if ended.weather is None:
                        raise
                    self._note(ended.weather)
        await self._clock.sleep(PAUSE)  # it had been proven: the waits begin anew

    def _note_down(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if error is not None:
            self._note(error)

    def _note(self, error: BaseException) -> None:
        alert = "state-full" if isinstance(error, StateFull) else "engine-down"
        if alert not in self._board.alerts:  # once when it goes down, once when it comes up
            log.warning("the engine is not watched", action="watch", error=str(error))
        self._board.raise_alert(alert, str(error), self._clock.now(), "critical")

    # One connection

    async def session(self) -> None:
        """Connect, catch up, follow. Ends by an exception: StreamEnded once it had been proven."""
        info = await self._engine.connect()
        try:
            await self._intake.restore(info)
            since = self._intake.resume_ns()
            async with self._engine.events(since) as stream:
                await self._watch(stream, since)
        finally:
            self._distrust()
            with contextlib.suppress(EngineError):
                await self._engine.close()

    async def _watch(self, stream: AsyncIterator[EngineEvent], since_ns: int) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(stream), name="read-events")
                await self._catch_up(since_ns)
                group.create_task(self._intake.follow(), name="follow-events")
                group.create_task(self._keep_listing(), name="list-again")
                group.create_task(self._relist_hourly(), name="list-hourly")
                group.create_task(self._beat(), name="ping-engine")
        except ExceptionGroup as errors:
            weather = _weather(errors)
            if isinstance(weather, StreamEnded):
                await self._note_the_end()
            if not self._intake.sight.proven:
                raise weather from errors
            ended = StreamEnded(0, str(weather))
            ended.weather = weather
            raise ended from errors
        except asyncio.CancelledError:  # told to stop: watched until now
            await self._note_the_end(stopped=True)
            raise

    async def _read(self, stream: AsyncIterator[EngineEvent]) -> None:
        """Drain the socket, whatever else goes on: a slow reader makes the whole engine slow."""
        async for event in stream:
            self._intake.buffer.put(event)
        raise StreamEnded(0, "the engine ended the event stream")

    async def _catch_up(self, since_ns: int) -> None:
        await self._intake.catch_up(since_ns)
        self._board.clear_alert("engine-down")
        self._board.clear_alert("state-full")
        self.ready.set()

    async def _note_the_end(self, *, stopped: bool = False) -> None:
        """The watch lasted until now, unless something that was told is lost; and who ended it."""
        if not self._intake.sight.proven or not await self._intake.finish():
            return
        engine_ended = not stopped and not await self._answers()
        with contextlib.suppress(StateFull):
            await self._intake.note_the_end(engine_ended=engine_ended, stopped=stopped)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(1):
                await self._engine.ping()
        except (EngineError, TimeoutError):
            return False
        return True

    def _distrust(self) -> None:
        self._intake.sight.proven = False
        self.ready.clear()
        self._intake.sight.changed.set()

    async def _keep_listing(self) -> None:
        while True:
            await self._intake.stale.wait()
            await self._clock.sleep(RELIST_AFTER)
            self._intake.stale.clear()
            await self._intake.refresh()
            self._intake.sight.changed.set()

    async def _relist_hourly(self) -> None:
        while True:
            await self._clock.sleep(RELIST_EVERY)
            self._intake.stale.set()

    async def _beat(self) -> None:
        """A stopped engine says nothing: only a ping without an answer tells it from one at rest."""
        while True:
            await self._clock.sleep(BEAT)
            try:
                await self._intake.beat()
            except EngineUnavailable:
                await self._clock.sleep(STOPPING)  # what it still tells while it ends counts, and that it ended
                await self._intake.beat()


def _weather(errors: ExceptionGroup[Exception]) -> EngineError | StateFull:
    """The trouble that ended a session. Raises the group where anything in it is a bug."""
    known, bugs = errors.split((EngineError, StateFull))
    if bugs is not None or known is None:
        raise errors
    error = known.exceptions[0]
    if isinstance(error, ExceptionGroup):
        return _weather(error)
    assert isinstance(error, EngineError | StateFull)  # noqa: S101 - split above
    return error
