"""The file system of the engine's directory, where it can be seen from here."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of a file system."""

    total_bytes: int
    free_bytes: int


def space(root: str) -> Space | None:
    """The file system under a directory; None where the directory is not there, as in most containers."""
    if not root or not Path(root).is_dir():
        return None
    try:
        status = os.statvfs(root)
    except OSError:
        return None
    return Space(total_bytes=status.f_blocks * status.f_frsize, free_bytes=status.f_bfree * status.f_frsize)
