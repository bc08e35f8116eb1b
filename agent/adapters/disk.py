"""The file system of the engine's data directory, if this process can see it."""

import os
from pathlib import Path

from agent.core.policy.disk import DiskUsage


def space(root: str) -> DiskUsage | None:
    """The usage of the file system that contains a directory; None if this process cannot see it.

    It does not exist in most containers, and its parent may be private to root.
    """
    try:
        if not root or not Path(root).is_dir():
            return None
        status = os.statvfs(root)
    except OSError:
        return None
    return DiskUsage(
        used_bytes=(status.f_blocks - status.f_bfree) * status.f_frsize,
        available_bytes=status.f_bavail * status.f_frsize,
        used_inodes=status.f_files - status.f_ffree,
        available_inodes=status.f_favail,
    )
