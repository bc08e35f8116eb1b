"""`torchkeeper demo`: shows in about a minute what the real agent does, on a private engine."""

import asyncio
import signal
import sys
from pathlib import Path

from agent.demo.console import Console
from agent.demo.environment import DemoEnvironment
from agent.demo.errors import DemoError
from agent.demo.scenario import Scenario

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(*, engine_url: str = "", keep: Path | None = None, with_page: bool = False) -> int:
    """Run the demo and clean up in any case. Returns the exit code: 128 + n after signal n.

    `engine_url`: an engine to use instead of a private one. `keep`: a new or empty folder in which the agent's files
    stay; without it, nothing stays. `with_page`: start a monitor, too, and stay at the end until a signal comes.
    """
    try:
        return asyncio.run(_Demo(DemoEnvironment(engine_url, keep, with_page=with_page)).run())
    except DemoError as error:
        print(f"torchkeeper: {error}", file=sys.stderr)
        return error.code


class _Demo:
    """One run of the demo. A signal ends it early, but does not interrupt the cleaning up."""

    def __init__(self, environment: DemoEnvironment) -> None:
        self._console = Console()
        self._environment = environment
        self._caught: signal.Signals | None = None
        self._cleaning = False

    async def run(self) -> int:
        self._watch_signals()
        scenario = Scenario(self._environment, self._console)
        try:
            await self._until_signal(scenario)
        finally:
            await self._clean_up()
        if self._caught is not None and not scenario.finished:
            self._console.print("stopped before the end; everything that the demo created is removed")
            return 128 + self._caught
        scenario.summary()
        return 0

    async def _until_signal(self, scenario: Scenario) -> None:
        try:
            await scenario.run()
        except asyncio.CancelledError:
            if self._caught is None:
                raise

    async def _clean_up(self) -> None:
        self._cleaning = True
        with self._console.busy("cleaning up"):
            await self._environment.close()

    def _watch_signals(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - run inside asyncio.run

        def caught(number: signal.Signals) -> None:
            if self._caught is None and not self._cleaning:
                task.cancel()
            self._caught = self._caught or number

        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_IGN:  # set by nohup, for example
                continue
            loop.add_signal_handler(number, caught, number)
