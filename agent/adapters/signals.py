"""Signals of a process that runs until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import structlog

STOP_RETRY = 5.0  # seconds that a stop may take before the cancellation is repeated

log = structlog.get_logger()


@contextmanager
def stopping(program: str, on_hangup: Callable[[], None] | None = None) -> Iterator[None]:
    """Cancel the current task on SIGTERM and SIGINT, until it has ended.

    On SIGHUP call `on_hangup`; without it SIGHUP changes nothing.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - run inside asyncio.run
    again: list[asyncio.TimerHandle] = []

    def stop() -> None:
        # A TaskGroup before Python 3.13 forgets a cancellation that comes while one of its tasks fails: repeat it.
        task.cancel()
        again.append(loop.call_later(STOP_RETRY, stop))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, on_hangup or partial(_ignore_hangup, program))
    try:
        yield
    finally:
        for handle in again:
            handle.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        loop.remove_signal_handler(signal.SIGHUP)
        ignore_hangups()


def ignore_hangups() -> None:
    """Ignore SIGHUP for the whole life of the process: a terminal that closes must not end it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _ignore_hangup(program: str) -> None:
    log.warning(f"SIGHUP was ignored: restart the {program} to read its configuration again", action="signal")
