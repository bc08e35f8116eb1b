"""Runs the event stream: connect, catch up, follow, and start again when it ends.

At every connection: subscribe, read and apply the events that Docker remembers, and record a gap if some may be lost.
Then list all images and containers, apply the events since, and reconcile. Only then may anything be evicted.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never, wait_exponential, wait_random

from agent import aio
from agent.adapters.clock import Clock
from agent.adapters.engine import Engine, EngineDown, EngineError, EngineInfo
from agent.adapters.state_errors import StateFull
from agent.core.protocol.alerts import AlertId
from agent.core.usage.events import EngineEvent
from agent.pulse import Pulse
from agent.reporting.host_report import HostReport
from agent.tracking.buffer import StreamEnded
from agent.tracking.ingestor import EventIngestor
from agent.tracking.timing import TrackingTiming


class Watcher:
    """Feeds an EventIngestor from one engine, for ever."""

    def __init__(
        self,
        engine: Engine,
        ingestor: EventIngestor,
        clock: Clock,
        host_report: HostReport,
        timing: TrackingTiming = TrackingTiming(),
        pulse: Pulse | None = None,
    ) -> None:
        self._engine = engine
        self._ingestor = ingestor
        self._clock = clock
        self._host_report = host_report
        self._timing = timing
        self._pulse = pulse or Pulse()
        self._position = ingestor.position
        self._stream = ingestor.view.stream
        self.ready = self._stream.ready  # set while the stream is proven

    async def run(self) -> None:
        """Watch for ever, also across restarts of the engine and while the state's disk is full."""
        while True:
            await self._until_connected()

    async def _until_connected(self) -> None:
        """Run sessions until one was proven. The wait after each failed session grows."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((EngineError, StateFull)),
            wait=wait_exponential(multiplier=0.2, max=self._timing.reconnect_backoff_max)
            + wait_random(0, self._timing.reconnect_jitter),
            stop=stop_never,
            sleep=self._clock.sleep,
            before_sleep=self._before_retry,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                try:
                    await self.session()
                except StreamEnded as ended:
                    if ended.cause is None:
                        raise
                    self._report_outage(ended.cause)
        await self._clock.sleep(self._timing.reconnect_delay)  # it was proven: the waits start from the shortest again

    def _before_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if error is not None:
            self._report_outage(error)

    def _report_outage(self, error: BaseException) -> None:
        now = self._clock.now()
        if not isinstance(error, StateFull):
            message = f"lost the Docker event stream: {error}"
            self._host_report.raise_alert(AlertId.ENGINE_DOWN, message, now, "critical")
        elif AlertId.STATE_FULL not in self._host_report.alerts:  # the sweeper may have raised it, with its own message
            message = f"the state cannot be written: {error}"
            self._host_report.raise_alert(AlertId.STATE_FULL, message, now, "critical")

    # One connection

    async def session(self) -> None:
        """Connect, catch up, follow. Always ends with an exception; it is StreamEnded if the stream was proven."""
        self._stream.begin()
        with self._pulse.busy("connection to the engine"):
            info = await self._connect()
        self._ingestor.view.figures.engine_connections += 1
        try:
            with self._pulse.busy("connection to the engine"):
                await self._ingestor.restore(info)
            since = self._position.resume_ns()
            async with self._engine.events(since) as stream:
                await self._watch(stream, since)
        except StateFull:
            self._host_report.clear_alert(AlertId.ENGINE_DOWN)  # it answers
            raise
        finally:
            self._stream.close()
            if not self._stream.caught_up:  # the engine was up, and its events were not read
                await self._position.record_probe(self._clock.now(), down=False)
            with contextlib.suppress(EngineError):
                await self._engine.close()

    async def _connect(self) -> EngineInfo:
        began = self._clock.now()
        try:
            return await self._engine.connect()
        except EngineError as error:
            await self._position.record_probe(began, down=isinstance(error, EngineDown))
            raise

    async def _watch(self, stream: AsyncIterator[EngineEvent], since_ns: int) -> None:
        self._stream.open()
        try:
            await aio.isolated(self._read_and_follow(stream, since_ns), "watch")
        except ExceptionGroup as errors:
            self._ingestor.view.figures.buffer_overflows += self._ingestor.buffer.overflowed
            cause = _transient_cause(errors)
            if isinstance(cause, StreamEnded):
                await aio.isolated(self._record_session_end())
            if not self._stream.caught_up:
                raise cause from errors
            ended = StreamEnded(0, str(cause))
            ended.cause = cause
            raise ended from errors
        except asyncio.CancelledError:  # the agent stops: it has watched until now
            await aio.isolated(self._record_session_end(stopping=True))
            raise

    async def _read_and_follow(self, stream: AsyncIterator[EngineEvent], since_ns: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(stream), name="read-events")
            group.create_task(self._ingestor.stalls.run(), name="notice-stalls")
            await self._catch_up(since_ns)
            group.create_task(self._ingestor.follow(), name="follow-events")
            group.create_task(self._keep_listing(), name="list-again")
            group.create_task(self._relist_hourly(), name="list-hourly")
            group.create_task(self._ask_unknown_again(), name="ask-unknown-again")
            group.create_task(self._ping(), name="ping-engine")
            group.create_task(self._heartbeat(), name="note-the-watch")
            group.create_task(self._audit_silence(), name="audit-silence")
            group.create_task(self._audit_stalls(), name="audit-stalls")
            group.create_task(self._end_when_lost(), name="end-when-lost")

    async def _read(self, stream: AsyncIterator[EngineEvent]) -> None:
        """Drain the socket without ever waiting for anything else: a slow reader slows the whole engine down."""
        ended = False
        try:
            async for event in stream:
                self._ingestor.buffer.put(event)
            ended = True
        finally:
            self._stream.close(ended_by_engine=ended)  # at once: later events are not read
        raise StreamEnded(0, "the engine ended the event stream")

    async def _catch_up(self, since_ns: int) -> None:
        with self._pulse.busy("catch-up with the engine"):
            await self._ingestor.catch_up(since_ns)
        if self._stream.proven:
            for alert in (AlertId.ENGINE_DOWN, AlertId.STATE_FULL):
                self._host_report.clear_alert(alert)

    async def _record_session_end(self, *, stopping: bool = False) -> None:
        """Record that the watch lasted until now, and who ended it; nothing if events may be lost."""
        if not self._stream.caught_up or not await self._ingestor.drain():
            return
        with contextlib.suppress(StateFull):
            await self._position.record_session_end(ended=self._stream.ended_by_engine)
            if not stopping:
                await self._position.record_probe(self._clock.now(), down=await self._is_down())

    async def _is_down(self) -> bool:
        try:
            async with asyncio.timeout(1):
                await self._engine.ping()
        except EngineDown:
            return True
        except (EngineError, TimeoutError):
            return False
        return False

    async def _keep_listing(self) -> None:
        while True:
            await self._ingestor.relist_due.wait()
            await self._clock.sleep(self._timing.relist_delay)
            await self.ready.wait()
            self._ingestor.relist_due.clear()
            await self._ingestor.refresh()
            self._ingestor.view.changed.set()

    async def _relist_hourly(self) -> None:
        while True:
            await self._clock.sleep(self._timing.relist_interval)
            self._ingestor.relist_due.set()

    async def _ask_unknown_again(self) -> None:
        """List again while any inspect failed, with growing waits: an image without details is unknown and kept."""
        while True:
            await self._ingestor.has_uninspected.wait()
            wait = self._timing.reinspect_delay
            await self._clock.sleep(wait)
            while self._ingestor.has_uninspected.is_set():
                self._ingestor.relist_due.set()
                wait = min(2 * wait, self._timing.relist_interval)
                await self._clock.sleep(wait)

    async def _ping(self) -> None:
        """Ping the engine: only this distinguishes an engine that hangs from one without events."""
        while True:
            await self._clock.sleep(self._timing.heartbeat_interval)
            try:
                await self._engine.ping()
            except EngineError as error:
                self._report_outage(error)
                self._stream.suspend()
                # wait for its last events, and for the end of its stream
                await self._clock.sleep(self._timing.engine_stop_time)
                await self._engine.ping()
                self._stream.resume()
                if self._stream.proven:
                    self._host_report.clear_alert(AlertId.ENGINE_DOWN)

    async def _audit_silence(self) -> None:
        """Audit a stream that is silent for long: there may be no events, or it may be dead."""
        while True:
            while (left := self._ingestor.audit_due()) > 0:
                await self._clock.sleep(left)
            await self.ready.wait()
            await self._ingestor.audit()

    async def _audit_stalls(self) -> None:
        while True:
            await self._ingestor.stalls.noticed.wait()
            await self.ready.wait()
            await self._ingestor.audit()

    async def _end_when_lost(self) -> None:
        """End the session with StreamEnded once any task finds that the stream lost events."""
        await self._stream.lost.wait()
        raise self._stream.loss

    async def _heartbeat(self) -> None:
        while True:
            await self._clock.sleep(self._timing.heartbeat_interval)
            await self.ready.wait()
            with self._pulse.busy("watch of the engine"):
                await self._ingestor.heartbeat()


def _transient_cause(errors: ExceptionGroup[Exception]) -> EngineError | StateFull:
    """The error that ended a session: StateFull first, then StreamEnded, else the first of several.

    Raises the group if any error in it is a bug.
    """
    known, bugs = errors.split((EngineError, StateFull))
    if bugs is not None or known is None:
        raise errors
    return min(_leaves(known), key=lambda error: (not isinstance(error, StateFull), not isinstance(error, StreamEnded)))


def _leaves(errors: BaseExceptionGroup[BaseException]) -> Iterator[EngineError | StateFull]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        elif isinstance(error, EngineError | StateFull):
            yield error
