"""Commands that change something: `sweep`, `pin`, `unpin`, `pause`, `resume`."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli import documents
from agent.cli.common import CommandError, ConfigOption, JsonOption, find_image, parse_duration, print_json, quiet, tell
from agent.config import settings as config
from agent.core import units
from agent.core.model import Image
from agent.core.policy.decision import Outcome
from agent.core.policy.overrides import Overrides, Pin
from agent.core.text import clean

if TYPE_CHECKING:
    from agent.eviction.sweeper import SweepResult

FORGOTTEN = timedelta(days=730)  # after its end a pin is dropped from the file

ForOption = Annotated[str | None, typer.Option("--for", metavar="DURATION", help="For how long; without it, for good.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the people who will ask.")]
ImageArgument = Annotated[str, typer.Argument(metavar="IMAGE", help="A reference, an ID, or the start of an ID.")]


def sweep(
    config_file: ConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, but remove and record nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """One sweep now, then exit. Refused while an agent runs here."""
    from agent.cli import tables

    done, host, notes = asyncio.run(_sweep(config.load(config_file), dry_run=dry_run))
    if as_json:
        print_json(documents.plan(done.initial_plan, host, notes, done.outcomes, done.errors))
    else:
        tell(notes)
        tables.show(tables.sweep(done))
    raise typer.Exit(1 if Outcome.FAILED in done.outcomes.values() else 0)


async def _sweep(settings: config.Settings, *, dry_run: bool) -> "tuple[SweepResult, str, tuple[str, ...]]":
    from agent.adapters import lock
    from agent.adapters.sqlite import state_dir
    from agent.daemon import run as daemon

    quiet()
    configured = settings.agent.state_dir
    if dry_run and (running := state_dir.agents_on(configured)):
        raise lock.StateBusy(running[0])
    place = state_dir.place_to_look_at(configured) if dry_run else state_dir.place_for_run(configured)
    with nullcontext() if dry_run else lock.locked(place.folder):
        if dry_run:
            look = state_dir.open_read_only(place.folder)
            store, notes = look.store, look.notes
        else:
            store, word = state_dir.open_store(place.folder, datetime.now(UTC))
            notes = tuple(note for note in (word, store.copied) if note)
        try:
            async with daemon.engine_session(settings, store, place.folder) as components:
                done = await components.sweeper.sweep(dry_run=dry_run)
            alerts = (alert.message for alert in components.host_report.alerts.values())
            return done, store.host, (*place.notes, *notes, *alerts)
        finally:
            await store.close()


def pin(
    image: ImageArgument, config_file: ConfigOption = None, for_: ForOption = None, reason: ReasonOption = ""
) -> None:
    """Keep an image, whatever its age."""
    settings = config.load(config_file)
    length, now = parse_duration(for_, "--for"), datetime.now(UTC)
    found = asyncio.run(_find(settings, image))
    reference = "" if found.id.removeprefix("sha256:").startswith(image.removeprefix("sha256:")) else _reference(image)
    made = Pin(id=found.id, reference=reference, at=now, until=now + length if length else None, reason=clean(reason))
    _change(settings, lambda holds: replace(holds, pins=(*_without(holds, found.id, reference), made)))
    until = f" until {units.format_time(made.until)}" if made.until else ""
    print(f"pinned {reference or found.id[7:19]}{until}")


def unpin(image: ImageArgument, config_file: ConfigOption = None) -> None:
    """Let the policy decide about an image again. Its idle time starts anew."""
    settings, now = config.load(config_file), datetime.now(UTC)
    ended: list[Pin] = []

    def edit(holds: Overrides) -> Overrides:
        ended.extend(_meant(image, [item for item in holds.pins if not item.over(now)]))
        pins = (replace(item, until=now) if item in ended else item for item in holds.pins)
        return replace(holds, pins=tuple(pins))  # one that is over stays: the end of a pin counts, whoever saw it

    left = [item for item in _change(settings, edit).pins if not item.over(now)]
    if not ended:
        raise CommandError(f"no pin on {image!r}; `torchkeeper plan` shows what is pinned")
    print(f"unpinned {image}")
    same = [item for item in left if any(_begin_alike(item.id, other.id) for other in ended)]
    tell(f"a pin on {item.reference or item.id[7:19]} still keeps this image" for item in same)


def pause(config_file: ConfigOption = None, for_: ForOption = None, reason: ReasonOption = "") -> None:
    """Evict nothing, until `resume` or for a while. Uses are still recorded."""
    settings = config.load(config_file)
    length, now = parse_duration(for_, "--for"), datetime.now(UTC)
    until = now + length if length else None
    why = clean(reason)
    _change(settings, lambda holds: replace(holds, paused=True, paused_at=now, paused_until=until, pause_reason=why))
    print(f"paused until {units.format_time(until)}" if until else "paused until `torchkeeper resume`")


def resume(config_file: ConfigOption = None) -> None:
    """End a pause."""
    settings = config.load(config_file)
    _change(
        settings,
        lambda holds: replace(holds, paused=False, paused_at=None, paused_until=None, pause_reason=""),
    )
    print("resumed")


def _change(settings: config.Settings, edit: Callable[[Overrides], Overrides]) -> Overrides:
    """Change what the running agent reads. Says where that is not agent.state_dir, and where no agent runs."""
    from agent.adapters import overrides as holds
    from agent.adapters.sqlite import state_dir

    place = state_dir.place_to_change(settings.agent.state_dir)
    try:
        changed = holds.change(place.folder, edit)
    except OSError as error:
        raise CommandError(
            f"nothing was changed: {place.folder / holds.FILE}: {error.strerror}{_way_out(error)}"
        ) from None
    tell(place.notes)
    return changed


def _way_out(error: OSError) -> str:
    return "; run this as the agent's user" if isinstance(error, PermissionError) else ""


async def _find(settings: config.Settings, text: str) -> Image:
    from agent.adapters.docker.engine import DockerEngine

    engine = DockerEngine(settings.docker.url)
    await engine.connect()
    try:
        return find_image(text, await engine.images({}))
    finally:
        await engine.close()


def _without(holds: Overrides, image_id: str, reference: str) -> tuple[Pin, ...]:
    """The other pins: the same image by the same name is pinned once, with the latest word."""
    recent = datetime.now(UTC) - FORGOTTEN
    others = (item for item in holds.pins if (item.id, item.reference) != (image_id, reference))
    return tuple(item for item in others if not item.over(recent))


def _meant(text: str, pins: Sequence[Pin]) -> list[Pin]:
    """The pins that a person means by a reference, an ID or the start of one. Raises Failed where it is ambiguous."""
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
