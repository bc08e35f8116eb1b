"""`torchkeeper pin`, `unpin` and `pins`: images that are kept, whatever their age."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from agent.cli import completion
from agent.cli.common import (
    CommandError,
    ConfigOption,
    ForOption,
    JsonOption,
    ReasonOption,
    UsageError,
    change_overrides,
    find_image,
    parse_duration,
    parse_reason,
    print_json,
    print_notes,
)
from agent.config import loading
from agent.config.settings import Settings
from agent.core import units
from agent.core.policy import pins as names
from agent.core.policy.overrides import Overrides, Pin

DROPPED_AFTER = timedelta(days=730)  # an ended pin leaves the file this long after its end

_HELP = "A reference, an ID, or the start of an ID."
ImageArgument = Annotated[str, typer.Argument(metavar="IMAGE", help=_HELP, autocompletion=completion.image_names)]
PinnedArgument = Annotated[str, typer.Argument(metavar="IMAGE", help=_HELP, autocompletion=completion.pinned_names)]


def pin(
    image: Annotated[
        str | None,
        typer.Argument(metavar="[IMAGE]", help="A reference, an ID, or the start of an ID.", show_default=False),
    ] = None,
    config_file: ConfigOption = None,
    for_: ForOption = None,
    reason: ReasonOption = "",
) -> None:
    """Keep an image, whatever its age. Without IMAGE: list the pins."""
    from agent.adapters import sharing

    if image is None:
        if for_ is not None or reason:
            raise UsageError("--for and --reason need an IMAGE: torchkeeper pin IMAGE --for 30d")
        pins(config_file)
        return
    settings = loading.load(config_file)
    length, why, now = parse_duration(for_, "--for"), parse_reason(reason), datetime.now(UTC)
    image_id, reference, notes = asyncio.run(_find(settings, image))
    until = now + length if length else None
    made = Pin(id=image_id, reference=reference, at=now, until=until, reason=why, by=sharing.person())
    change_overrides(settings, lambda old: replace(old, pins=(*_without(old, image_id, reference), made)))
    print_notes(notes)
    print(f"pinned {reference or image_id[7:19]}" + (f" until {units.format_time(until)}" if until else ""))


def unpin(image: PinnedArgument, config_file: ConfigOption = None) -> None:
    """Let the policy decide about an image again. Its idle time starts anew."""
    settings, now = loading.load(config_file), datetime.now(UTC)
    ended: list[Pin] = []

    def edit(old: Overrides) -> Overrides:
        ended.extend(_meant(image, [item for item in old.pins if not item.over(now)]))
        changed = (replace(item, until=now) if item in ended else item for item in old.pins)
        return replace(
            old, pins=tuple(changed)
        )  # an ended pin stays in the file: the agent counts idle time from its end

    left = [item for item in change_overrides(settings, edit).pins if not item.over(now)]
    if not ended:
        raise CommandError(f"no pin on {image!r}; `torchkeeper pins` lists them")
    print(f"unpinned {image}")
    same = [item for item in left if any(_begin_alike(item.id, other.id) for other in ended)]
    print_notes(f"a pin on {item.reference or item.id[7:19]} still keeps this image" for item in same)


def pins(config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What is pinned, by whom, until when and why; and whether evictions are paused."""
    from agent.adapters import overrides
    from agent.adapters.sqlite import state_dir
    from agent.cli import pin_list, tables

    place = state_dir.place_to_look_at(loading.load(config_file).agent.state_dir)
    found, now = overrides.load(place.folder), datetime.now(UTC)
    if as_json:
        print_json(pin_list.document(found, now, place.notes))
        return
    print_notes(place.notes)
    tables.show(pin_list.render(found, now))


async def _find(settings: Settings, text: str) -> tuple[str, str, list[str]]:
    """The ID and the reference to pin, and notes. Without access to Docker, the pin has only what was written."""
    from agent.adapters.docker import factory
    from agent.adapters.engine import PermissionDenied

    engine = factory.make_engine(settings.docker)
    try:
        await engine.connect()
        found = find_image(text, await engine.images({}))
    except PermissionDenied:
        return _as_written(text)
    finally:
        await engine.close()
    by_id = found.id.removeprefix("sha256:").startswith(text.removeprefix("sha256:"))
    return found.id, "" if by_id else _reference(text), []


def _as_written(text: str) -> tuple[str, str, list[str]]:
    """The ID or else the reference that a text is. Raises UsageError if no image can have it."""
    note = f"this user may not ask Docker, so nobody checked that {text!r} is here"
    with suppress(ValueError):
        if image_id := names.image_id(text):
            return image_id, "", [note]
    try:
        if reference := names.reference(text):
            return "", reference, [note]
        raise ValueError("is empty; name an image")
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}") from None


def _without(old: Overrides, image_id: str, reference: str) -> tuple[Pin, ...]:
    """The other pins: an image is pinned once by each name, and the latest pin replaces the one before."""
    recent = datetime.now(UTC) - DROPPED_AFTER
    others = (item for item in old.pins if (item.id, item.reference) != (image_id, reference))
    return tuple(item for item in others if not item.over(recent))


def _meant(text: str, active: Sequence[Pin]) -> list[Pin]:
    """The pins that a person means by a reference, an ID or the start of an ID. Raises CommandError if ambiguous."""
    prefix = text if text.startswith("sha256:") else f"sha256:{text}"
    by_id = [item for item in active if len(prefix) >= len("sha256:") + 4 and _begin_alike(item.id, prefix)]
    if any(not _begin_alike(item.id, by_id[0].id) for item in by_id):
        names = ", ".join(f"{item.id[7:19]} ({item.reference or 'by its ID'})" for item in by_id)
        raise CommandError(f"{text!r} is ambiguous: pins on {names}; give more of it")
    return by_id or [item for item in active if item.reference and _reference(text) == item.reference]


def _begin_alike(one: str, other: str) -> bool:
    """Whether two IDs, of which each may be the start of one, can be of one image; "" is of none."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _reference(text: str) -> str:
    from agent.core.images.references import familiar

    return familiar(text)
