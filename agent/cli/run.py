"""`torchkeeper run`: the agent."""

import asyncio
import platform
from typing import Annotated

import typer

from agent.cli.common import ConfigOption
from agent.config.source import SettingsSource
from agent.core.protocol.topics import slug


def run(
    config_file: ConfigOption = None,
    observe: Annotated[bool, typer.Option("--observe", help="Decide and report, but remove nothing.")] = False,
) -> None:
    """Run the agent: watch, evict what is idle, report. Ends on SIGTERM; reads its configuration again on SIGHUP."""
    import structlog

    from agent import logs
    from agent.adapters import lock, signals
    from agent.adapters.sqlite import state_dir
    from agent.daemon import run as daemon

    signals.ignore_hangups()
    source = SettingsSource(config_file, observe=observe)
    settings = source.read()
    logs.configure(settings.agent.log, host=settings.agent.host or slug(platform.node()))
    place = state_dir.place_for_run(settings.agent.state_dir)
    for note in place.notes:
        structlog.get_logger().warning(note, action="open-state")
    with lock.locked(place.folder):
        asyncio.run(daemon.run(settings, place.folder, source))
