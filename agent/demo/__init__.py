"""`torchkeeper demo`: the real agent on a stage of its own, and what it does there, in about a minute."""

import asyncio
import signal
import sys
from pathlib import Path

from agent.demo.console import Console
from agent.demo.environment import DemoEnvironment
from agent.demo.errors import DemoError
from agent.demo.scenario import Scenario

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(*, engine_url: str = "", keep: Path | None = None) -> int:
    """Play the story and clean up, whatever happens. Returns the exit code: 128 + n after signal n.

    `engine_url` is an engine to use instead of a private one; `keep` a folder, new or empty, for what the
    agent wrote. Without them nothing stays.
    """
    try:
        return asyncio.run(_Demo(engine_url, keep).run())
    except DemoError as trouble:
        print(f"torchkeeper: {trouble}", file=sys.stderr)
        return trouble.code


class _Demo:
    """One performance, which a signal ends early. What is being cleaned up is not interrupted."""

    def __init__(self, engine_url: str, keep: Path | None) -> None:
        self._console = Console()
        self._stage = DemoEnvironment(engine_url, keep)
        self._caught: signal.Signals | None = None
        self._cleaning = False

    async def run(self) -> int:
        self._watch_signals()
        story = Scenario(self._stage, self._console)
        try:
            await self._until_signal(story)
        finally:
            await self._clean_up()
        if self._caught is not None:
            self._console.print("stopped before the end; everything that the demo had made is removed")
            return 128 + self._caught
        story.summary()
        return 0

    async def _until_signal(self, story: Scenario) -> None:
        try:
            await story.run()
        except asyncio.CancelledError:
            if self._caught is None:
                raise

    async def _clean_up(self) -> None:
        self._cleaning = True
        with self._console.busy("cleaning up"):
            await self._stage.close()

    def _watch_signals(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - run inside asyncio.run

        def caught(number: signal.Signals) -> None:
            if self._caught is None and not self._cleaning:
                task.cancel()
            self._caught = self._caught or number

        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_IGN:  # as nohup has it
                continue
            loop.add_signal_handler(number, caught, number)
