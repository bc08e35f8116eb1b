"""The output of the demo: lines that fit 80 columns, plain in a pipe, with a countdown on a terminal."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.console import ConsoleRenderable, RichCast
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDEST = 100  # columns; longer lines are hard to read
INDENT = 9  # columns, the width of the time before each line
_STYLE = {"EVICT": "bold yellow", "evict": "bold yellow", "removed": "bold yellow", "keep": "green", "kept": "green"}


class Console:
    """Standard output, with the time since the start."""

    def __init__(self) -> None:
        self._console = RichConsole(highlight=False, emoji=False, markup=False)
        self._console.width = min(self._console.width, WIDEST)
        self._began = time.monotonic()
        self._steps = 0

    def step(self, title: str, why: str) -> None:
        """The start of a step: what happens now, and why it matters."""
        self._steps += 1
        self._console.print()
        self._print(_row(f"{self._steps}.", Text(title.upper(), style="bold")))
        self._print(Padding(Text(why, style="italic"), (0, 0, 0, INDENT)))

    def event(self, text: str, *more: str, word: str = "") -> None:
        """Show something that happened just now. `word`: a bold keyword in front; `more`: lines below."""
        body = Text.assemble((f"{word}  " if word else "", _STYLE.get(word, "bold")), text)
        for line in more:
            body.append(f"\n{line}", style="dim")
        self._print(_row(f"{time.monotonic() - self._began:.1f} s", body))

    def title(self, text: str) -> None:
        self._console.print()
        self._print(Text(text, style="bold"))

    def print(self, text: str) -> None:
        self._print(Text(text))

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str | Text]], indent: int = INDENT) -> None:
        """Print a table. The last column wraps, the others keep their width."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(head))
        for number, name in enumerate(head):
            table.add_column(name, no_wrap=number < len(head) - 1, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell, style=_STYLE.get(cell, "")) if isinstance(cell, str) else cell for cell in row))
        self._print(Padding(table, (0, 0, 0, indent)))

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show inside the block that something is being done; on a terminal only."""
        with self.live(lambda: text):
            yield

    @contextmanager
    def live(self, line: Callable[[], str]) -> Iterator[None]:
        """Show a last line inside the block, updated four times a second; on a terminal only."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            yield
            return

        def render() -> Table:
            elapsed = f"{time.monotonic() - self._began:.0f} s"
            return _row(elapsed, Text(f"... {line()}", style="cyan", no_wrap=True, overflow="ellipsis"))

        with Live(get_renderable=render, console=self._console, refresh_per_second=4, transient=True):
            yield

    def _print(self, content: ConsoleRenderable | RichCast) -> None:
        if self._console.is_terminal:
            self._console.print(content)
            return
        with self._console.capture() as caught:
            self._console.print(content)
        for line in caught.get().splitlines():  # tables end their lines with blanks
            self._console.print(Text(line.rstrip()), soft_wrap=True)


def two_lines(first: str, second: str) -> Text:
    """A table cell with an explanation in a second line."""
    return Text.assemble(first, ("\n" + second, "dim"), overflow="fold")


def _row(time_or_number: str, body: Text) -> Table:
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=INDENT - 2, justify="right", no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(Text(time_or_number, style="dim"), body)
    return row
