"""Shows the progress of a pull on standard error: a bar on a terminal, and now and then a line in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from agent.adapters import puller
from agent.core import text, units

EVERY = 5.0  # seconds between two lines
DONE = ("Pull complete", "Already exists")


class Layers:
    """The layers of a pull, and what the engine reported last about each."""

    def __init__(self) -> None:
        self._downloaded: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._done: set[str] = set()

    def take(self, step: puller.Progress) -> None:
        """Take one report in. Bytes that are extracted were downloaded before, so they are not counted again."""
        if step.status == "Downloading":
            self._downloaded[step.layer], self._sizes[step.layer] = step.current_bytes, step.total_bytes
        elif step.status == "Download complete" or step.status in DONE:
            self._downloaded[step.layer] = self._sizes.get(step.layer, 0)
        elif step.status == "Pulling fs layer":
            self._sizes.setdefault(step.layer, 0)
        if step.status in DONE:
            self._sizes.setdefault(step.layer, 0)
            self._done.add(step.layer)

    @property
    def bytes(self) -> tuple[int, int]:
        """The downloaded bytes, and those of all layers whose download began."""
        return sum(self._downloaded.values()), sum(self._sizes.values())

    @property
    def counts(self) -> str:
        return f"{len(self._done)} of {len(self._sizes)} layers"


@contextmanager
def shown(name: str) -> Iterator[Callable[[puller.Progress], None]]:
    """Show the progress of the pull of `name` for the block."""
    console = Console(stderr=True, highlight=False)
    with _bar(console) if console.is_terminal else _lines(name) as show:
        yield show


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[puller.Progress], None]]:
    layers = Layers()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("pulling", total=None)

        def show(step: puller.Progress) -> None:
            layers.take(step)
            done, total = layers.bytes
            progress.update(task, completed=done, total=total or None, description=layers.counts)

        yield show


@contextmanager
def _lines(name: str) -> Iterator[Callable[[puller.Progress], None]]:
    layers, said = Layers(), [0.0]  # when the last line was printed; 0: no pull has begun

    def show(step: puller.Progress) -> None:
        layers.take(step)
        if not said[0]:
            _say(f"pulling {name}")
        elif time.monotonic() >= said[0] + EVERY:
            _say(_line(layers))
        else:
            return
        said[0] = time.monotonic()

    yield show
    if said[0]:
        _say(_line(layers))


def _line(layers: Layers) -> str:
    done, total = map(units.format_bytes, layers.bytes)
    return f"{layers.counts}, {done} of {total}"


def _say(line: str) -> None:
    print(text.one_line(line), file=sys.stderr, flush=True)
