"""What the commands share: options, errors, printing, and finding the image that a person means."""

import json
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.config.settings import Settings
from agent.core import text, units
from agent.core.model import Image
from agent.core.policy.overrides import Overrides

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file.",
        show_default="/etc/torchkeeper/torchkeeper.toml",
        readable=False,  # `loading` says why a file cannot be read, and what to do
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")]
ForOption = Annotated[str | None, typer.Option("--for", metavar="DURATION", help="Duration (default: until removed).")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Reason shown to others.")]


class UsageError(Exception):
    """The command was used wrongly; the message names what, and the way out."""


class CommandError(Exception):
    """The command could not do its work; the message says why, and what to do."""


def parse_duration(text: str | None, option: str) -> timedelta | None:
    """An option's duration. Raises UsageError, naming the option."""
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
    """Print one document, with characters that a terminal would obey escaped."""
    written = json.dumps(document, indent=2, ensure_ascii=False)
    print("\n".join(line if line.isprintable() else _escaped(line) for line in written.split("\n")))


def _escaped(line: str) -> str:
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def quiet() -> None:
    """Keep what a command logs on its way to an answer out of its output."""
    from agent import logs

    logs.configure("console", quiet=True)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes to standard error, so that the result stays alone on standard output."""
    for note in notes:
        print(f"note: {text.clean(note)}", file=sys.stderr)


def change_overrides(settings: Settings, edit: Callable[[Overrides], Overrides]) -> Overrides:
    """Change the pins or the pause that the running agent reads.

    A note says where that is not in agent.state_dir, and where no agent runs. Raises CommandError, StateError.
    """
    from agent.adapters import overrides
    from agent.adapters.sqlite import state_dir

    place = state_dir.place_to_change(settings.agent.state_dir)
    try:
        changed = overrides.change(place.folder, edit)
    except OSError as error:
        raise CommandError(
            f"nothing was changed: {place.folder / overrides.FILE}: {error.strerror}{_way_out(error)}"
        ) from None
    print_notes(place.notes)
    return changed


def _way_out(error: OSError) -> str:
    return "; run this as the agent's user" if isinstance(error, PermissionError) else ""


def find_image(text: str, images: Iterable[Image], *, by_prefix: bool = False) -> Image:
    """The image that a person means by a reference, a digest reference, an ID or the start of one.

    With `by_prefix` the start of a reference is enough, if nothing else matches.
    Raises CommandError where there is none, and where there are several, which it then names.
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
