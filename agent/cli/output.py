"""Writes what a command prints. Output that cannot be written ends the command in one sentence, never in a traceback.

In a terminal, lines fit its width. Anywhere else, each row is one line, however long it is, so that `grep` finds names.
"""

import codecs
import errno
import io
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

UNBOUNDED = 1_000_000  # columns of output that is not a terminal: no row is folded


class OutputFailed(Exception):
    """Standard output cannot be written; the message says why. Not an OSError: typer handles some of those."""


class _Stdout(io.TextIOWrapper):
    """Standard output. A reader that went away is still a BrokenPipeError: it wants no message."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _failed(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _failed(error) from None


class _ClosedStdout(io.StringIO):
    """Stands for a standard output that the caller closed: only a command that prints something fails."""

    def write(self, text: str) -> int:
        if not text:
            return 0
        raise _failed(OSError(errno.EBADF, "it is closed"))


class _Stderr(io.TextIOWrapper):
    """Standard error. If it cannot be written, nobody reads it: the result and the exit code count."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            return


def _failed(error: OSError) -> Exception:
    if error.errno == errno.EPIPE:
        return error
    return OutputFailed(f"cannot write to standard output: {error.strerror}")


def prepare() -> None:
    """Set up the standard streams of a command, before it opens any file or prints anything."""
    closed = [number for number in range(3) if _is_closed(number)]
    for _ in closed:  # the next file would get the number, and would receive what is meant for the stream
        os.open(os.devnull, os.O_RDWR)
    sys.stdout = _ClosedStdout() if 1 in closed else _replaced(sys.stdout, 1, _Stdout)
    sys.stderr = _replaced(sys.stderr, 2, _Stderr)


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _replaced(stream: TextIO | None, number: int, kind: type[_Stdout | _Stderr]) -> TextIO:
    """The same stream as one of a kind, with `?` for characters that its encoding does not have.

    A stream that is not the file with this number stays: a caller inside this process put it there.
    """
    try:
        if stream is not None and stream.fileno() != number:
            return stream
    except (OSError, ValueError):  # it has no number, as in a test
        return stream or sys.stdout
    encoding = stream.encoding if stream is not None else "utf-8"
    buffering = stream is not None and stream.isatty()
    raw = open(number, "wb", closefd=False)  # noqa: SIM115 - open for as long as the process runs
    return kind(raw, encoding=encoding, errors="replace", line_buffering=buffering or kind is _Stderr)


def finish() -> None:
    """Write what is still buffered. Raises OutputFailed, BrokenPipeError."""
    sys.stdout.flush()


def discard() -> None:
    """Drop what could not be written: Python would try it again at the end, and show an error of its own."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def width() -> int | None:
    """The columns of the terminal; None if there is none, so that no line is folded."""
    return shutil.get_terminal_size().columns if is_terminal() else None


def show(content: "RenderableType") -> None:
    """Print a table or a text. A `Text` that must not be folded says so itself (`unfolded`)."""
    from rich.console import Console

    if is_terminal():
        Console(highlight=False).print(content, crop=False)
        return
    console = Console(highlight=False, width=UNBOUNDED, force_terminal=False)
    with console.capture() as captured:
        console.print(content, crop=False)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def unfolded(written: str, style: str = "") -> "Text":
    """A line to be copied as a whole: a terminal may break it in its display, but nothing is put into it."""
    from rich.text import Text

    return Text(written, style=style, no_wrap=True, overflow="ignore")


def print_json(document: Any) -> None:
    """Print one document, with characters escaped that a terminal would obey, or that the output cannot encode."""
    written = json.dumps(document, indent=2, ensure_ascii=not _is_unicode(sys.stdout.encoding))
    print("\n".join(line if line.isprintable() else _escaped(line) for line in written.split("\n")))


def _escaped(line: str) -> str:
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def _is_unicode(encoding: str | None) -> bool:
    return encoding is None or codecs.lookup(encoding).name.startswith("utf")
