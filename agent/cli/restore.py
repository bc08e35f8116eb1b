"""`torchkeeper restore`: an evicted image is pulled again, and gets its tags back."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.common import CommandError, ConfigOption, JsonOption, print_json, print_notes
from agent.config import loading
from agent.config.settings import Settings
from agent.core import text, units
from agent.core.protocol import evicted
from agent.core.protocol.evicted import Evicted

if TYPE_CHECKING:
    from agent.adapters.sqlite import state_dir

EVER = datetime(1970, 1, 1, tzinfo=UTC)
LISTED = 10  # images in a message


def restore(
    image: Annotated[
        str,
        typer.Argument(metavar="IMAGE", help="A reference that it had, its ID, its digest, or the start of one."),
    ],
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pull an evicted image again, by its recorded digest, and give it back its tags."""
    from agent.adapters.sqlite import state_dir
    from agent.daemon.restore import NotRestored

    settings = loading.load(config_file)
    place = state_dir.place_to_look_at(settings.agent.state_dir)
    look = state_dir.open_read_only(place.folder)
    try:
        document = asyncio.run(_restore(settings, look, image))
    except NotRestored as error:
        raise CommandError(str(error)) from None
    notes = (*place.notes, *look.notes)
    if as_json:
        print_json({**document, "notes": list(notes)})
        return
    print_notes(notes)
    print(text.clean(_sentence(document)))


async def _restore(settings: Settings, look: "state_dir.ReadOnlyState", name: str) -> dict[str, object]:
    from agent.adapters.docker.pull import DockerPuller
    from agent.cli import pull_progress
    from agent.daemon import restore as restoring

    events = await look.store.load_events(EVER)
    await look.store.close()
    image = _find(name, evicted.images(events))
    engine = DockerPuller(settings.docker.url)
    await engine.connect()
    try:
        with pull_progress.shown(image.origin or image.id) as show:
            done = await restoring.restore(engine, image, show)
    finally:
        await engine.close()
    return {
        "id": done.id,
        "references": list(image.tags),
        "origin": done.origin,
        "pulled": done.pulled,
        "tagged": list(done.tagged),
    }


def _find(name: str, known: Sequence[Evicted]) -> Evicted:
    """The image that a person means. Raises CommandError where there is none, and where there are several."""
    found = evicted.meant(name, known)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(map(_described, found[:LISTED]))
        more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
        raise CommandError(f"{name!r} means several evicted images: {names}{more}; give the ID of one")
    raise CommandError(f"no evicted image {name!r} in the history; `torchkeeper history --since 90d` lists them")


def _described(image: Evicted) -> str:
    return f"{image.id[7:19]} ({text.listed(image.tags) or 'untagged'}, evicted {units.format_time(image.at)})"


def _sentence(document: dict[str, object]) -> str:
    tags = document["references"]
    name = " ".join(tags) if isinstance(tags, list) and tags else str(document["origin"])
    if not document["pulled"] and not document["tagged"]:
        return f"{name} is here already; nothing was changed"
    first = name.split(" ")[0]
    return f"restored {name}; its idle time starts now, and `torchkeeper pin {first}` keeps it for good"
