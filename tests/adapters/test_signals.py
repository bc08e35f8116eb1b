"""SIGHUP ends no program: an agent is told, a monitor logs that it needs a restart."""

import asyncio
import os
import signal

import structlog
from structlog.testing import capture_logs

from agent.adapters import signals


async def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.sleep(0.01)  # the loop reads signals from a pipe


async def test_a_hangup_is_passed_on_to_who_wants_it_and_ends_nothing() -> None:
    heard: list[str] = []
    with signals.stopping("agent", lambda: heard.append("HUP")):
        await hang_up()
        await hang_up()
    assert heard == ["HUP", "HUP"]


async def test_a_hangup_that_nobody_wants_is_logged_and_ends_nothing() -> None:
    structlog.reset_defaults()
    with capture_logs() as logs, signals.stopping("monitor"):
        await hang_up()
    assert [line["event"] for line in logs] == [
        "SIGHUP was ignored: restart the monitor to read its configuration again"
    ]


async def test_a_hangup_after_the_end_is_ignored() -> None:
    with signals.stopping("agent", lambda: None):
        pass
    await hang_up()
