"""What a table prints in a terminal of a width, and where there is no terminal."""

import io

from rich.console import Console, RenderableType

from agent.cli import output


def lines(content: RenderableType, width: int | None = 80) -> list[str]:
    """The lines without trailing blanks. `width`: of the terminal; None: there is none."""
    out = io.StringIO()
    columns = width or output.UNBOUNDED
    Console(file=out, width=columns, highlight=False).print(content, crop=False)
    return [line.rstrip() for line in out.getvalue().splitlines()]
