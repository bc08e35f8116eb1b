"""Chooses the state folder, and opens the state in it."""

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import platformdirs

from agent.adapters import alerts_file, overrides, reserve, sharing
from agent.adapters import folder as folders
from agent.adapters.lock import StateBusy, busy
from agent.adapters.sqlite import database, identity
from agent.adapters.sqlite.store import Store
from agent.adapters.state_errors import StateDamaged, StateError, StateFull

INSTEAD_OF = "instead-of"  # file in the XDG folder: the agent.state_dir that it replaces


class StateElsewhere(Exception):
    """The running agent uses another folder than the one that would be written; the message names both."""


@dataclass(frozen=True, slots=True)
class Place:
    """A state folder, with notes for people if it is not agent.state_dir or no agent reads it."""

    folder: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadOnlyState:
    """A copy of the state in memory, for commands that change nothing, with notes for people."""

    store: Store
    notes: tuple[str, ...]


def xdg_folder() -> Path:
    return platformdirs.user_state_path("torchkeeper")


# Which folder


def resolve(configured: Path) -> Place:
    """The folder that an agent of this user uses. Every command uses this function. Creates nothing.

    It is `configured`, unless that does not exist and this user, who is not root, cannot create it: then it is the XDG
    state folder, for as long as an agent runs there. Raises StateError if this user may not see the folder.
    """
    if folders.is_there(configured):
        return Place(configured)
    instead = xdg_folder()
    if used_instead_of(configured) and busy(instead):
        return Place(instead, (f"the agent reads {instead}: {configured} (agent.state_dir) could not be created",))
    if os.geteuid() == 0 or folders.can_be_made(configured) or not instead.is_absolute():
        return Place(configured)
    why = f"agent.state_dir: {configured} does not exist, and uid {os.geteuid()} cannot create it"
    return Place(instead, (f"{why}; using {instead}",))


def agents_on(configured: Path) -> list[Path]:
    """The folders that running agents or sweeps of this configuration use, as far as this user may see."""
    instead = [xdg_folder()] if used_instead_of(configured) else []
    return [folder for folder in dict.fromkeys([resolve(configured).folder, configured, *instead]) if busy(folder)]


def place_for_run(configured: Path) -> Place:
    """Prepare and return the folder for `run` and `sweep`. Raises StateError, and StateBusy if an agent runs there.

    A note says if the group exists and has no access.
    """
    place = resolve(configured)
    running = agents_on(configured)
    if running:
        raise StateBusy(running[0])
    _prepare(place)
    if place.folder != configured:
        _note_instead_of(place.folder, configured)
        return place
    return Place(place.folder, tuple(filter(None, (*place.notes, sharing.why_not_shared(place.folder)))))


def place_to_change(configured: Path) -> Place:
    """Prepare and return the folder to write pins and the pause to, which the running agent must read.

    Raises StateElsewhere if an agent reads another folder, and StateError.
    """
    place, running = resolve(configured), agents_on(configured)
    elsewhere = [folder for folder in running if folder != place.folder]
    if elsewhere:
        raise StateElsewhere(
            f"nothing was changed: an agent reads {elsewhere[0]}, not {place.folder} (agent.state_dir); "
            f"restart that agent, or set agent.state_dir to {elsewhere[0]}"
        )
    _prepare_to_change(place)
    if running:
        return place
    return Place(place.folder, (*place.notes, f"no agent runs on {place.folder} now; one that starts there reads this"))


def _prepare(place: Place) -> None:
    try:
        folders.prepare(place.folder)
        _prepare_overrides(place.folder)
    except StateError as error:
        raise type(error)("; ".join([*place.notes, str(error)])) from None


def _prepare_overrides(folder: Path) -> None:
    try:
        overrides.prepare(folder)
    except OSError as error:
        raise folders.unusable(folder / overrides.FOLDER, error) from None


def _prepare_to_change(place: Place) -> None:
    """Prepare the folder. A member of its group may write only to the folder with the overrides."""
    inside = place.folder / overrides.FOLDER
    if not folders.is_there(inside):
        _prepare(place)
        return
    try:
        folders.probe(inside)
    except StateFull:
        if not reserve.release(place.folder):
            raise
        folders.probe(inside)


def place_to_look_at(configured: Path) -> Place:
    """The folder that the running agent reads; if none runs, the one that it would use. Raises StateError."""
    place, running = resolve(configured), agents_on(configured)
    if not running or place.folder in running:
        return place
    note = f"an agent reads {running[0]}, not {place.folder} (agent.state_dir); this shows the state of that agent"
    return Place(running[0], (note,))


def used_instead_of(configured: Path) -> bool:
    """Whether an agent of this user has used the XDG folder in place of `configured`, which is another folder."""
    instead = xdg_folder()
    try:
        replaced = (instead / INSTEAD_OF).read_text()
    except (OSError, ValueError):
        return False
    return replaced == f"{configured}\n" and os.path.realpath(instead) != os.path.realpath(configured)


def _note_instead_of(folder: Path, configured: Path) -> None:
    if not used_instead_of(configured):
        try:
            (folder / INSTEAD_OF).write_text(f"{configured}\n")
        except OSError as error:
            raise folders.unusable(folder, error) from None


# Opening


def open_store(folder: Path, now: datetime) -> tuple[Store, str]:
    """Open the state for writing. Returns it, and a message if a damaged file was moved aside, else "".

    On a full disk the reserve is released, as decisions and evictions need their rows then too. State that was copied
    from another machine gets a new identity, see `Store.copied`. Raises StateError.
    """
    try:
        opened = _open(folder, now)
    except StateFull:
        if not reserve.release(folder):
            raise
        opened = _open(folder, now)
    reserve.keep(folder)
    with suppress(OSError):  # `check` sees by its age that it is no longer written
        alerts_file.remove(folder)
    for name in database.FILES:
        folders.give_to_owner(folder / name)
        sharing.share_file(folder / name)
    return opened


def _open(folder: Path, now: datetime) -> tuple[Store, str]:
    connection, message = database.open_file(folder, now)
    try:
        with database.reading_errors(folder / database.FILE):
            copied = identity.settle(connection, folder)
            return Store(connection, folder, copied=copied), message
    except StateError:
        connection.close()
        raise


def open_read_only(folder: Path) -> ReadOnlyState:
    """Open a copy of the state for reading. If there is none yet, a note says so, and where it may be instead.

    Raises StateError if it cannot be read.
    """
    notes = [] if database.exists(folder / database.FILE) else _notes_on_nothing(folder)
    try:
        copy = database.open_copy(folder)
    except StateDamaged as error:
        copy = database.open_copy(folder / "none")
        notes.append(f"{error}; the agent will move it aside, and every image will count as first seen then")
    return ReadOnlyState(Store(copy, None), tuple(notes))


def _notes_on_nothing(folder: Path) -> list[str]:
    elsewhere = xdg_folder()
    with suppress(StateError):
        if elsewhere != folder and database.exists(elsewhere / database.FILE):
            hint = f"the agent's state is in {elsewhere}: set agent.state_dir to it"
            return [f"no state in {folder}; {hint}. Until then every image counts as first seen now"]
    return [f"no agent has run here yet (no state in {folder}): every image counts as first seen now"]
