"""The file with pins and the pause, as a person writes it."""

from pathlib import Path

from agent.adapters import overrides


def path(folder: Path) -> Path:
    """The file in a state folder; its own folder is made."""
    place = folder / overrides.FILE
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
