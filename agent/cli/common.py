"""What the commands share: options, errors, printing, and finding the image that a person means."""

import difflib
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from agent.cli import output
from agent.config.settings import Settings
from agent.core import units
from agent.core.model import Image
from agent.core.policy.overrides import Overrides
from agent.core.text import clean, listed

print_json = output.print_json  # the commands import what they share from here

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file. Default: TORCHKEEPER_CONFIG, then /etc/torchkeeper/torchkeeper.toml, then the"
        " built-in defaults.",
        show_default=False,
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


def parse_reason(text: str) -> str:
    """The text of --reason, without characters that a terminal would obey. Raises UsageError if it is too long."""
    from agent.adapters import overrides_file

    if len(text) > overrides_file.LONGEST:
        raise UsageError(f"--reason: has more than {overrides_file.LONGEST} characters; write less")
    return clean(text)


def quiet() -> None:
    """Keep what a command logs on its way to an answer out of its output."""
    from agent import logs

    logs.configure("console", quiet=True)


def print_notes(notes: Iterable[str]) -> None:
    """Print notes to standard error, so that the result stays alone on standard output."""
    for note in notes:
        print(f"note: {clean(note)}", file=sys.stderr)


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
    from agent.adapters import sharing

    return f"; {sharing.way_in(Path(error.filename or '/'))}" if isinstance(error, PermissionError) else ""


def find_image(text: str, images: Iterable[Image], *, by_prefix: bool = False) -> Image:
    """The image that a person means by a reference, a digest reference, an ID or the start of one.

    With `by_prefix` the start of a reference is enough, if nothing else matches. A repository without a tag never
    means its `latest` alone if it has other tags. Raises CommandError where there is no image, and names those that may
    be meant; and where there are several, which it then names.
    """
    from agent.core.images.references import familiar

    images = tuple(images)
    _refuse_missing_tag(text, images)
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
    raise CommandError(f"no image {text!r} here{_near(text, images)} lists them")


def _refuse_missing_tag(text: str, images: Iterable[Image]) -> None:
    """Raises CommandError for a repository without a tag that has several: Docker would silently take `latest`."""
    from agent.core.images.references import familiar, repository

    if repository(text) != text:
        return
    tags = [name for image in images for name in image.references if repository(name) == repository(familiar(text))]
    if len(tags) > 1 and familiar(text) in tags:
        raise CommandError(f"{text!r} names no tag; write one of {listed(tags)}")


def _near(text: str, images: Iterable[Image]) -> str:
    """The names that may be meant, and the command that lists all, as part of a sentence."""
    names = sorted({name for image in images for name in image.standalone})
    near = [name for name in names if text in name] or difflib.get_close_matches(text, names, n=4, cutoff=0.6)
    asked = f". Did you mean {listed(near)}?" if near else ";"
    return f"{asked} `torchkeeper images --all`"
