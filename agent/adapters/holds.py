"""Pins and the pause, in a small file of their own that people can read. Unreadable means: nothing is evicted."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.core.model import Holds, Pin
from agent.core.wire import Time

FILE = "holds.json"


class HoldsUnreadable(Exception):
    """The file with pins and the pause cannot be read; the message says why and what to do."""


class _Pin(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    reference: str = ""
    at: Time
    until: Time | None = None
    reason: str = ""


class _Pause(BaseModel):
    model_config = ConfigDict(extra="forbid")

    at: Time
    until: Time | None = None
    reason: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pins: list[_Pin] = []
    pause: _Pause | None = None


def load(folder: Path) -> Holds:
    """The holds in force; none where there is no file yet. Raises HoldsUnreadable."""
    path = folder / FILE
    try:
        return _holds(_File.model_validate_json(path.read_bytes()))
    except FileNotFoundError:
        return Holds()
    except OSError as error:
        raise HoldsUnreadable(f"{path}: {error.strerror}; nothing is evicted until it can be read") from None
    except (ValidationError, ValueError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        hint = "mend it or remove it (then set the pins again); nothing is evicted until then"
        raise HoldsUnreadable(f"{path}: {what}; {hint}") from None


def change(folder: Path, edit: Callable[[Holds], Holds]) -> Holds:
    """Edit the holds: one writer at a time, and the file is always the old or the new one, whole.

    Raises HoldsUnreadable, OSError.
    """
    with FileLock(folder / f"{FILE}.lock", timeout=10):
        holds = edit(load(folder))
        _write(folder / FILE, _file(holds).model_dump_json(indent=2) + "\n")
    return holds


def stamp(folder: Path) -> tuple[int, ...]:
    """Changes whenever the file does."""
    try:
        status = (folder / FILE).stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _write(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _holds(file: _File) -> Holds:
    pause = file.pause
    return Holds(
        pins=tuple(Pin(id=p.id, reference=p.reference, at=p.at, until=p.until, reason=p.reason) for p in file.pins),
        paused=pause is not None,
        paused_at=pause.at if pause else None,
        paused_until=pause.until if pause else None,
        pause_reason=pause.reason if pause else "",
    )


def _file(holds: Holds) -> _File:
    pins = [_Pin(id=p.id, reference=p.reference, at=p.at, until=p.until, reason=p.reason) for p in holds.pins]
    pause = None
    if holds.paused and holds.paused_at is not None:
        pause = _Pause(at=holds.paused_at, until=holds.paused_until, reason=holds.pause_reason)
    return _File(pins=pins, pause=pause)
