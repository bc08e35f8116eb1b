"""Rows of a table with lines below each of them that are to be copied: no table may fold those."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agent.cli import output

INDENT = 2  # columns before a line to be copied


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row, of which only the last may be folded, and the lines below it."""

    cells: tuple[Text, ...]
    copyable: tuple[str, ...] = ()


def stacked(heads: Sequence[str], rows: Sequence[Row]) -> RenderableType:
    """A table with a heading, and its rows, with aligned columns."""
    first = Row(tuple(Text(head, style="bold") for head in heads))
    widths = [max(_width(row.cells[number]) for row in (first, *rows)) for number in range(len(heads) - 1)]
    return Group(*(part for row in (first, *rows) for part in _parts(row, widths)))


def _width(cell: Text) -> int:
    return max((cell_len(line) for line in cell.plain.split("\n")), default=0)


def _parts(row: Row, widths: Sequence[int]) -> Iterable[RenderableType]:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for width in widths:
        grid.add_column(width=width, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(*row.cells)
    yield grid
    for line in row.copyable:
        yield output.unfolded(" " * INDENT + line)
