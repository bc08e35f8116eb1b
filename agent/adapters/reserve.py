"""A file that takes up room, so that there is some when the disk is full."""

import os
from pathlib import Path

FILE = "reserve"
BYTES = 16 * 1024 * 1024  # released when the disk is full, so that decisions can still be written


def keep(folder: Path) -> bool:
    """Create the reserve file and allocate its blocks, unless it exists. False if the disk has no room for it now."""
    path = folder / FILE
    try:
        if path.exists() and path.stat().st_size == BYTES:
            return True
        with path.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, BYTES)
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True


def release(folder: Path) -> bool:
    """Delete the reserve file to free its space. False if there is none."""
    try:
        (folder / FILE).unlink()
    except OSError:
        return False
    return True
