"""The form of a table of images: names and reasons side by side in one line, or one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from agent.cli.selection import names_of
from agent.core import text
from agent.core.policy.decision import Decision

WIDE = 120  # columns of a terminal from which an image is one line
ROOM = 45  # columns that a reason gets at least beside a name
GAP = 2  # columns between two cells


def table(*columns: str, name_width: int | None = None) -> Table:
    """`name_width`: of the column before the last one; None: as wide as the longest name."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        last = number == len(columns) - 1
        made.add_column(column, overflow="fold", ratio=None, no_wrap=not last)
    if name_width is not None:
        made.columns[-2].width, made.columns[-2].no_wrap = name_width, False
    return made


@dataclass(frozen=True, slots=True)
class Form:
    """Whether names and reasons of images stand side by side, or one below the other."""

    flat: bool
    name_width: int | None = None  # columns, if flat in a terminal; a longer name is folded
    room: int | None = None  # columns for the reason, if flat in a terminal

    def heads(self, last: str) -> tuple[str, ...]:
        return ("IMAGE", last) if self.flat else (f"IMAGE AND {last}",)

    def cells(self, names: Sequence[str], why: str, *, if_it_fits: str = "") -> list[RenderableType]:
        """The last cells of a row. `if_it_fits`: what a line may leave out (`explain` shows it)."""
        if not self.flat:
            return [with_line("\n".join(names), why, if_it_fits)]
        joined = ", ".join(names)
        whole = "; ".join(filter(None, (why, if_it_fits)))
        fits = self.room is None or len(whole) <= self.room
        in_one = self.name_width is None or len(joined) <= self.name_width
        shown = text.one_line(whole if fits else why)
        return [Text(joined if in_one else "\n".join(names)), Text(shown, style="dim")]


def form_of(shown: Sequence[Decision], width: int | None, beside: int, room: int = ROOM) -> Form:
    """`beside`: the columns that a line needs for all but name and reason. `room`: at least so many for a reason."""
    if width is None or width < WIDE:
        return Form(flat=width is None)
    most = width - beside - room - GAP
    lengths = [len(name) for item in shown for name in names_of(item)]
    name_width = min(max(lengths, default=0), most)
    return Form(flat=True, name_width=name_width, room=width - beside - name_width - GAP)


def with_line(first: str, *more: str) -> RenderableType:
    """A text, and dimmed lines below it."""
    lines = Text(text.clean(first), overflow="fold")
    for line in filter(None, more):
        lines.append("\n" + text.clean(line), style="dim")
    return lines
