"""The table of hosts. It is made for ten thousand rows: rich's own table takes two milliseconds for each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from agent.core import units
from agent.fleet.live.row import HostRow
from agent.fleet.shown import ago, clean, largest
from agent.fleet.totals import used_share

NARROWEST = 16  # columns for the name of a host, if it is not shorter
_BOLD = Style(bold=True)
_COLOURS = {name: Style(color=name) for name in ("green", "yellow", "red", "cyan")}
_STATE = {"online": "green", "stale": "yellow", "offline": "red", "unknown": "yellow"}
_HIGH = 0.85  # the share of a disk that is shown as high, if the host's own policy has no limit

Cell = tuple[str, str]  # text, and the name of its colour or ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table. A narrow table leaves out those with the highest `rank`, and none of rank 0."""

    title: str
    cell: Callable[[HostRow, datetime], Cell]
    left: bool = False
    rank: int = 0


class HostTable:
    """The hosts in the given order, each on one line as wide as the console at most."""

    def __init__(self, rows: Sequence[HostRow], now: datetime) -> None:
        self._rows = rows
        self._now = now

    def fitting(self, height: int) -> RenderableType:
        """The first rows in so many lines; the last line is the number of those that are not shown."""
        room = max(1, height - 1)  # below the head
        if len(self._rows) <= room:
            return self
        shown = max(1, room - 1)
        more = Text(f"and {len(self._rows) - shown:,} more hosts", style="bold")
        return Group(HostTable(self._rows[:shown], self._now), more)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = list(COLUMNS)
        cells = {column.title: [column.cell(row, self._now) for row in self._rows] for column in columns}
        widths = {title: max(len(title), *(_width(text) for text, _ in column)) for title, column in cells.items()}
        first = COLUMNS[0].title
        while (left := _left_for(columns, widths, options.max_width)) < min(widths[first], NARROWEST):
            if not (optional := [column for column in columns if column.rank]):
                break
            columns.remove(max(optional, key=lambda column: column.rank))
        widths[first] = max(1, min(widths[first], left))
        yield from _line(columns, widths, [(column.title, "") for column in columns], _BOLD)
        for number in range(len(self._rows)):
            yield from _line(columns, widths, [cells[column.title][number] for column in columns])


def _left_for(columns: Sequence[Column], widths: dict[str, int], width: int) -> int:
    """What is left of the width for the first column."""
    return width - sum(widths[column.title] + 1 for column in columns[1:])


def _line(
    columns: Sequence[Column], widths: dict[str, int], cells: Sequence[Cell], style: Style | None = None
) -> Iterator[Segment]:
    plain = ""  # cells without a colour are written together
    for number, (column, (text, colour)) in enumerate(zip(columns, cells, strict=True)):
        plain += " " if number else ""
        shown = _fitted(text, widths[column.title], left=column.left)
        if colour:
            yield from (Segment(plain, style), Segment(shown, _COLOURS[colour]))
            plain = ""
        else:
            plain += shown
    yield Segment(plain + "\n", style)


def _fitted(text: str, width: int, *, left: bool) -> str:
    size = _width(text)
    if size > width:
        return set_cell_size(text, width - 1) + "…"
    return text + " " * (width - size) if left else " " * (width - size) + text


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _host(row: HostRow, now: datetime) -> Cell:
    return clean(row.host), ""


def _state(row: HostRow, now: datetime) -> Cell:
    return row.state, _STATE[row.state]


def _mode(row: HostRow, now: datetime) -> Cell:
    if row.paused:
        return "paused", "yellow"
    return row.mode or "-", "cyan" if row.mode == "observe" else ""


def _seen(row: HostRow, now: datetime) -> Cell:
    return (ago(_time(row.last_seen), now) if row.last_seen is not None else "never"), ""


def _images(row: HostRow, now: datetime) -> Cell:
    return ("-" if row.images is None else str(row.images)), ""


def _disk(row: HostRow, now: datetime) -> Cell:
    share = used_share(row)
    if share is None:
        return "-", ""
    return f"{100 * share:.0f} %", "yellow" if share > (row.high or _HIGH) else ""


def _used(row: HostRow, now: datetime) -> Cell:
    return _bytes(row.disk_used_bytes), ""


def _reclaimable(row: HostRow, now: datetime) -> Cell:
    return _bytes(row.reclaimable_bytes), ""


def _next(row: HostRow, now: datetime) -> Cell:
    if row.next_eviction is None:
        return "-", ""
    left = _time(row.next_eviction) - now
    return (largest(left) if left.total_seconds() > 0 else "now"), ""


def _freed(row: HostRow, now: datetime) -> Cell:
    return (units.format_bytes(row.freed_24h_bytes) if row.freed_24h_bytes else "-"), ""


def _alerts(row: HostRow, now: datetime) -> Cell:
    count = row.criticals + row.warnings
    return (f"{count}!", "red") if row.criticals else (str(count), "yellow" if count else "")


def _version(row: HostRow, now: datetime) -> Cell:
    return clean(row.version or "-"), ""


COLUMNS = (
    Column("HOST", _host, left=True),
    Column("STATE", _state, left=True),
    Column("MODE", _mode, left=True),
    Column("SEEN", _seen),
    Column("IMAGES", _images, rank=2),
    Column("USED", _used, rank=3),
    Column("DISK", _disk),
    Column("RECLAIM", _reclaimable),
    Column("NEXT", _next),
    Column("FREED", _freed),
    Column("ALERTS", _alerts),
    Column("VERSION", _version, rank=1),
)


def _bytes(count: int | None) -> str:
    return "-" if count is None else units.format_bytes(count)


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
