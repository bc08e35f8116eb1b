"""`torchkeeper demo`: the whole story on one machine."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    engine: Annotated[
        str, typer.Option("--engine", metavar="URL", help="Use this engine instead of a private one.")
    ] = "",
    keep: Annotated[Path | None, typer.Option("--keep", metavar="DIR", help="Keep the state and logs here.")] = None,
    page: Annotated[bool, typer.Option("--page", help="Start the monitor, too, and stay until Ctrl-C.")] = False,
) -> None:
    """The whole story on one machine, in about a minute, with nothing else set up."""
    from agent import demo as demonstration

    raise typer.Exit(demonstration.run(engine_url=engine, keep=keep, with_page=page))
