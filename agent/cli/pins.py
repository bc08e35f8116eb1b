"""`torchkeeper pin` and `unpin`: images that are kept, whatever their age."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from agent.cli import completion
from agent.cli.common import (
    CommandError,
    ConfigOption,
    ForOption,
    ReasonOption,
    change_overrides,
    find_image,
    parse_duration,
    print_notes,
)
from agent.config import loading
from agent.config.settings import Settings
from agent.core import units
from agent.core.model import Image
from agent.core.policy.overrides import Overrides, Pin
from agent.core.text import clean

DROPPED_AFTER = timedelta(days=730)  # an ended pin leaves the file this long after its end

_HELP = "A reference, an ID, or the start of an ID."
ImageArgument = Annotated[str, typer.Argument(metavar="IMAGE", help=_HELP, autocompletion=completion.image_names)]
PinnedArgument = Annotated[str, typer.Argument(metavar="IMAGE", help=_HELP, autocompletion=completion.pinned_names)]


def pin(
    image: ImageArgument, config_file: ConfigOption = None, for_: ForOption = None, reason: ReasonOption = ""
) -> None:
    """Keep an image, whatever its age."""
    settings = loading.load(config_file)
    length, now = parse_duration(for_, "--for"), datetime.now(UTC)
    found = asyncio.run(_find(settings, image))
    reference = "" if found.id.removeprefix("sha256:").startswith(image.removeprefix("sha256:")) else _reference(image)
    made = Pin(id=found.id, reference=reference, at=now, until=now + length if length else None, reason=clean(reason))
    change_overrides(settings, lambda old: replace(old, pins=(*_without(old, found.id, reference), made)))
    until = f" until {units.format_time(made.until)}" if made.until else ""
    print(f"pinned {reference or found.id[7:19]}{until}")


def unpin(image: PinnedArgument, config_file: ConfigOption = None) -> None:
    """Let the policy decide about an image again. Its idle time starts anew."""
    settings, now = loading.load(config_file), datetime.now(UTC)
    ended: list[Pin] = []

    def edit(old: Overrides) -> Overrides:
        ended.extend(_meant(image, [item for item in old.pins if not item.over(now)]))
        pins = (replace(item, until=now) if item in ended else item for item in old.pins)
        return replace(old, pins=tuple(pins))  # an ended pin stays in the file: the agent counts idle time from its end

    left = [item for item in change_overrides(settings, edit).pins if not item.over(now)]
    if not ended:
        raise CommandError(f"no pin on {image!r}; `torchkeeper plan` shows what is pinned")
    print(f"unpinned {image}")
    same = [item for item in left if any(_begin_alike(item.id, other.id) for other in ended)]
    print_notes(f"a pin on {item.reference or item.id[7:19]} still keeps this image" for item in same)


async def _find(settings: Settings, text: str) -> Image:
    from agent.adapters.docker import factory

    engine = factory.make_engine(settings.docker)
    await engine.connect()
    try:
        return find_image(text, await engine.images({}))
    finally:
        await engine.close()


def _without(old: Overrides, image_id: str, reference: str) -> tuple[Pin, ...]:
    """The other pins: an image is pinned once by each name, and the latest pin replaces the one before."""
    recent = datetime.now(UTC) - DROPPED_AFTER
    others = (item for item in old.pins if (item.id, item.reference) != (image_id, reference))
    return tuple(item for item in others if not item.over(recent))


def _meant(text: str, pins: Sequence[Pin]) -> list[Pin]:
    """The pins that a person means by a reference, an ID or the start of an ID. Raises CommandError if ambiguous."""
    prefix = text if text.startswith("sha256:") else f"sha256:{text}"
    by_id = [item for item in pins if len(prefix) >= len("sha256:") + 4 and _begin_alike(item.id, prefix)]
    if any(not _begin_alike(item.id, by_id[0].id) for item in by_id):
        names = ", ".join(f"{item.id[7:19]} ({item.reference or 'by its ID'})" for item in by_id)
        raise CommandError(f"{text!r} is ambiguous: pins on {names}; give more of it")
    return by_id or [item for item in pins if item.reference and _reference(text) == item.reference]


def _begin_alike(one: str, other: str) -> bool:
    """Whether two IDs, of which each may be the start of one, can be of one image; "" is of none."""
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _reference(text: str) -> str:
    from agent.core.images.references import familiar

    return familiar(text)
