"""What all commands share: the options, the errors, and how a result is printed."""

import json
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.core import text, units
from agent.core.model import Image

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file.",
        show_default="/etc/torchkeeper/torchkeeper.toml",
        readable=False,  # `config` itself says why a file cannot be read, and what to do
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]


class UsageError(Exception):
    """The command was used wrongly; the message names what, and the way out."""


class CommandError(Exception):
    """The command could not do its work; the message says why, and what to do."""


def parse_duration(text: str | None, option: str) -> timedelta | None:
    """An option's duration. Raises DemoUsageError, naming the option."""
    if text is None:
        return None
    try:
        value = units.parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if value <= timedelta():
        raise UsageError(f"{option}: must be longer than 0")
    return value


def print_json(document: Any) -> None:
    """One document, in which what a terminal would obey is escaped."""
    written = json.dumps(document, indent=2, ensure_ascii=False)
    print("".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in written))


def quiet() -> None:
    """Log nothing of what a command does to find its answer."""
    from agent import logs

    logs.configure("console", quiet=True)


def tell(notes: Iterable[str]) -> None:
    """Notes beside a result: on standard error, so that the result stays alone on standard output."""
    for note in notes:
        print(f"note: {text.clean(note)}", file=sys.stderr)


def find_image(text: str, images: Iterable[Image], *, by_prefix: bool = False) -> Image:
    """The image that a person means by a reference, a digest reference, an ID or the start of one.

    With `by_prefix`, the start of a reference will do, where nothing else is meant.
    Raises Failed where there is none, and, with the candidates, where there are several.
    """
    from agent.core.images.references import familiar

    images = tuple(images)
    named = [image for image in images if familiar(text) in image.all_references]
    prefix = text if text.startswith("sha256:") else f"sha256:{text}"
    found = named or [image for image in images if len(prefix) > len("sha256:") and image.id.startswith(prefix)]
    if by_prefix and not found:
        found = [image for image in images if any(reference.startswith(text) for reference in image.all_references)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{image.id[7:19]} ({' '.join(image.standalone) or 'untagged'})" for image in found)
        raise CommandError(f"{text!r} is ambiguous: {names}; give more of it")
    raise CommandError(f"no image {text!r} here; `torchkeeper images --all` lists them")
