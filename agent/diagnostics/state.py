"""Checks of the state folder: whether it can be used, and whether its pins have an effect."""

from datetime import UTC, datetime
from pathlib import Path

from agent.adapters import folder, overrides, sharing
from agent.adapters.sqlite import state_dir
from agent.adapters.state_errors import StateError, StateTooNew
from agent.core.policy.decision import Plan
from agent.core.policy.overrides import Pin
from agent.daemon import no_effect
from agent.diagnostics.check import Check


def check_folder(configured: Path) -> Check:
    """Whether the folder can be used, and whether an agent runs on it."""
    try:
        place, running = state_dir.place_to_look_at(configured), state_dir.agents_on(configured)
    except StateError as error:
        return Check("state", False, str(error), "make the folder usable, or set agent.state_dir to another one")
    where = [f"{place.folder}: an agent runs on it"] if running else []
    try:
        if folder.is_there(place.folder):
            folder.probe(place.folder / overrides.FOLDER if sharing.is_guest(place.folder) else place.folder)
        look = state_dir.open_read_only(place.folder)
    except StateTooNew as error:
        return Check("state", False, str(error), "a newer torchkeeper, or another agent.state_dir, can read it")
    except StateError as error:
        # If the user only has to join the group, advice to change the folder would be wrong.
        as_owner = sharing.way_in(place.folder) == sharing.AS_OWNER
        hint = "make the folder usable, or set agent.state_dir to another one" if as_owner else ""
        return Check("state", False, "; ".join([str(error), *where]), hint)
    detail = "; ".join([*(where or [f"{place.folder}: no agent runs on it now"]), *place.notes, *look.notes])
    if any("damaged" in note for note in look.notes):
        return Check("state", False, detail, "start the agent; it moves the file aside and begins anew")
    if running and place.folder != state_dir.resolve(configured).folder:
        return Check("state", False, detail, f"restart that agent, or set agent.state_dir to {place.folder}")
    return Check("state", True, detail)


def check_pins(configured: Path, plan: Plan | None) -> list[Check]:
    """Pins that match nothing here, or more than one image. Empty if the folder cannot be read: its own check says so.

    `plan`: of all images; None if the engine cannot be watched.
    """
    now = datetime.now(UTC)
    try:
        place = state_dir.place_to_look_at(configured)
        found = overrides.load(place.folder)
    except StateError:
        return []
    except overrides.OverridesUnreadable as error:
        return [Check("pins", False, f"{error.detail}; {error.effect}", error.hint)]
    elsewhere = no_effect.pins_elsewhere(configured, place.folder, now)
    if elsewhere:
        return [Check("pins", False, elsewhere, "torchkeeper pin, or torchkeeper pause, acts where the agent reads")]
    active = [pin for pin in found.pins if not pin.over(now)]
    detail = f"{len(active)} pinned" + ("; eviction is paused" if found.paused else "")
    if plan is None:
        return [Check("pins", True, detail)]
    vague = [f"; the ID {pin.id} begins {count} images, and keeps them all" for pin, count in _vague(active, plan)]
    lost = [pin.reference or pin.id for pin in active if not _is_here(pin, plan)]
    if not lost:
        return [Check("pins", True, "".join([detail, *vague]))]
    hint = f"pull it again, or: torchkeeper unpin {lost[0]}"
    return [Check("pins", True, "".join([detail, *vague, f"; no such image is here: {', '.join(lost)}"]), hint)]


def _vague(pins: list[Pin], plan: Plan) -> list[tuple[Pin, int]]:
    """Pins by the start of an ID, if several images have IDs with that start; with the number of those images."""
    counts = ((pin, sum(bool(pin.id) and item.image.id.startswith(pin.id) for item in plan.decisions)) for pin in pins)
    return [(pin, count) for pin, count in counts if count > 1]


def _is_here(pin: Pin, plan: Plan) -> bool:
    return any(pin.means(item.image) for item in plan.decisions)
