"""The folders: a temporary one that is removed at the end, and the one that the user wants to keep."""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from agent.demo.errors import DemoError, DemoUsageError

ROOM = 1_000_000_000  # bytes free in the temporary folder
LONGEST = 50  # characters; containerd creates sockets in it, whose paths may have at most 107


def make() -> Path:
    return Path(tempfile.mkdtemp(prefix="tk-demo-")).resolve()


def require_fit(folder: Path) -> None:
    """Raise DemoError if the folder is not suitable for an engine."""
    if len(str(folder)) > LONGEST:
        raise DemoError(f"the path {folder} is too long for an engine's sockets: set TMPDIR to a shorter folder")
    if shutil.disk_usage(folder).free < ROOM:
        raise DemoError(f"less than 1 GB is free in {folder.parent}: set TMPDIR to a folder with more room")


def remove(folder: Path) -> None:
    """Unmount everything below a folder, then remove it. Raises DemoError; mounted folders are not deleted."""
    for point in reversed(mounts_under(folder)):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            argv = ["umount", "--lazy", point]
            subprocess.run(argv, check=False, capture_output=True, timeout=10)  # noqa: S603
    if mounts_under(folder):
        raise DemoError(f"something in {folder} is still mounted; unmount it, then remove the folder")
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise DemoError(f"{folder} could not be removed completely; remove it: nothing uses it any more")


def mounts_under(folder: Path) -> list[str]:
    """The mount points below a folder, in the order in which they were mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [point for line in lines if (point := line.split()[4]).startswith(f"{folder}/")]


def kept(folder: Path) -> Path:
    """Create the folder to keep if it does not exist. Raises DemoUsageError if it is not empty or not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise DemoUsageError(f"--keep: {folder} is not empty; name a new folder")
    except OSError as error:
        raise DemoUsageError(f"--keep: {folder}: {error.strerror}; name a folder that can be written") from None
    return folder.resolve()
