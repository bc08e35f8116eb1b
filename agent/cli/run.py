"""`run` and `demo`: commands that last."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.common import ConfigOption
from agent.config import loading


def run(
    config_file: ConfigOption = None,
    observe: Annotated[bool, typer.Option("--observe", help="Decide and report, but remove nothing.")] = False,
) -> None:
    """Be the agent: watch, evict what is idle, report. Ends on SIGTERM."""
    import structlog

    from agent import logs
    from agent.adapters import lock
    from agent.adapters.sqlite import state_dir
    from agent.daemon import run as daemon

    daemon.ignore_hangups()
    settings = loading.load(config_file)
    if observe:
        settings = settings.model_copy(update={"agent": settings.agent.model_copy(update={"mode": "observe"})})
    logs.configure(settings.agent.log)
    place = state_dir.place_for_run(settings.agent.state_dir)
    for note in place.notes:
        structlog.get_logger().warning(note, action="open-state")
    with lock.locked(place.folder):
        asyncio.run(daemon.run(settings, place.folder, loading.find_file(config_file, os.environ)))


def demo(
    engine: Annotated[
        str, typer.Option("--engine", metavar="URL", help="Use this engine instead of a private one.")
    ] = "",
    keep: Annotated[Path | None, typer.Option("--keep", metavar="DIR", help="Keep the state and logs here.")] = None,
) -> None:
    """The whole story on one machine, in about a minute, with nothing else set up."""
    from agent import demo as story

    raise typer.Exit(story.run(engine_url=engine, keep=keep))
