"""`torchkeeper monitor`: the fleet's central monitor."""

import asyncio
from typing import Annotated

import typer
from pydantic import ValidationError

from agent.cli import common
from agent.config import loading, sections
from agent.config.settings import ConfigError, Settings


def monitor(
    config_file: common.ConfigOption = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="ADDRESS", help="Address to serve.", show_default="monitor.listen")
    ] = None,
) -> None:
    """Run the fleet's central monitor: history, page, API and metrics. Ends on SIGTERM."""
    from agent import logs
    from agent.adapters import signals
    from agent.fleet import extra

    if not extra.is_installed():
        raise common.UsageError(f"torchkeeper monitor needs: {extra.how_to_install()}")
    signals.ignore_hangups()
    settings = loading.load(config_file)
    if listen is not None:
        settings = settings.model_copy(update={"monitor": _with_address(settings.monitor, listen)})
    logs.configure(settings.agent.log)
    _run(settings)


def _with_address(monitor: sections.Monitor, listen: str) -> sections.Monitor:
    try:
        return sections.Monitor.model_validate({**monitor.model_dump(), "listen": listen})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise common.UsageError(f"--listen: {reason}") from None


def _run(settings: Settings) -> None:
    """Raises ConfigError where the configuration cannot be used, and CommandError where the monitor must not run."""
    from agent.fleet import monitor
    from agent.fleet.history.errors import HistoryError, HistoryUnavailable
    from agent.fleet.history.lease import LeaseTaken

    try:
        asyncio.run(monitor.run(settings))
    except HistoryError as error:
        raise ConfigError(str(error)) from None
    except (HistoryUnavailable, LeaseTaken) as error:
        raise common.CommandError(str(error)) from None
