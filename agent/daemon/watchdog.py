"""Notifies systemd that the agent is ready, what it does, and that it lives; logs work that hangs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from agent.adapters.clock import Clock
from agent.adapters.systemd import Notifier
from agent.core import text
from agent.pulse import Pulse
from agent.reporting.host_report import HostReport
from agent.tracking.engine_view import EngineView

log = structlog.get_logger()


@asynccontextmanager
async def notifying(notifier: Notifier, pulse: Pulse, describe: Callable[[], str], clock: Clock) -> AsyncIterator[None]:
    """Notify systemd during the block: ready when its loops run, alive while none hangs, stopping at the end.

    The watchdog is fed by the event loop, so it is not fed while that is blocked, nor while work is over its limit.
    """
    task = asyncio.create_task(_notify(notifier, pulse, describe, clock), name="notify-systemd")
    try:
        yield
    finally:
        notifier.send("STOPPING=1", "STATUS=stopping")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _notify(notifier: Notifier, pulse: Pulse, describe: Callable[[], str], clock: Clock) -> None:
    notifier.send("READY=1", _status(describe()))
    logged: set[str] = set()
    while True:
        await clock.sleep(notifier.interval)
        hanging = pulse.over_limit()
        if hanging:
            notifier.send(_status("; ".join(hanging.values())))
        else:
            notifier.send("WATCHDOG=1", _status(describe()))
        for name, sentence in hanging.items():
            if name not in logged:
                log.error(sentence, action="hang", work=name)
        logged = set(hanging)


def _status(words: str) -> str:
    return f"STATUS={text.one_line(words)}"


def describe(view: EngineView, host_report: HostReport) -> str:
    """What the agent does now, and how many alerts stand."""
    doing = "watching the engine" if view.proven else "waiting for the engine"
    count = len(host_report.alerts)
    return f"{doing}; {count} alert{'' if count == 1 else 's'}" if count else doing
