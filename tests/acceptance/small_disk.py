"""An engine whose data lie on a small file system of their own: a file behind a loop device."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import dockerd, engines, proc


@contextmanager
def engine(size_mb: int, inodes: int = 0, kind: str = engines.KINDS[0]) -> Iterator[dockerd.Dockerd]:
    """A private engine on such a disk, with so many inodes where it is said; nothing of either stays behind."""
    proc.require_root()
    proc.require_program("dockerd", "docker.io")
    programs, config = engines.parts(kind)
    # A short path of its own: containerd's sockets below it may not exceed 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp"))
    private = dockerd.Dockerd(folder, dockerd.search_path(programs), config)
    try:
        with _file_system(data(private), size_mb, inodes):
            try:
                with engines.may_not_start(kind):
                    private.start()
                yield private
            finally:
                private.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def data(engine: dockerd.Dockerd) -> Path:
    """The engine's directory: the root of its file system."""
    return engine.folder / "data"


def share(engine: dockerd.Dockerd) -> float:
    """How full the disk is, from 0 to 1, of bytes or of inodes: as `df` counts it."""
    found = os.statvfs(data(engine))
    used_bytes, used_inodes = found.f_blocks - found.f_bfree, found.f_files - found.f_ffree
    return max(used_bytes / (used_bytes + found.f_bavail), used_inodes / (used_inodes + found.f_favail))


def room(engine: dockerd.Dockerd) -> int:
    """The bytes that images can have: used or free, without what only root may fill."""
    found = os.statvfs(data(engine))
    return (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize


def fill(engine: dockerd.Dockerd, until: float) -> Path:
    """Take room with one file until the disk is so full (from 0 to 1); the file."""
    path = data(engine) / "filler"
    free = os.statvfs(data(engine)).f_bavail * os.statvfs(data(engine)).f_frsize
    with path.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, round(free - (1 - until) * room(engine)))
    return path


@contextmanager
def _file_system(folder: Path, size_mb: int, inodes: int) -> Iterator[None]:
    program = proc.require_program("mkfs.ext4", "e2fsprogs")
    with tempfile.TemporaryDirectory(prefix="tk-") as place:
        disk = Path(place, "disk")
        disk.touch()
        os.truncate(disk, size_mb * 1_000_000)
        subprocess.run([program, "-q", *(["-N", str(inodes)] if inodes else []), disk], check=True)
        folder.mkdir()
        mounted = subprocess.run(["mount", "-o", "loop", disk, folder], capture_output=True, check=False)
        proc.require(mounted.returncode == 0, f"a loop device needs CAP_SYS_ADMIN: {mounted.stderr.decode()}")
        try:
            yield
        finally:
            if os.path.ismount(folder):
                subprocess.run(["umount", "--lazy", folder], check=True)
            _detach(disk)


def _detach(disk: Path) -> None:
    """See the loop device go, which it does with its last mount, or let go of it by force."""
    try:
        proc.eventually(lambda: not _devices(disk))
    except AssertionError:
        for device in _devices(disk):
            subprocess.run(["losetup", "--detach", device], check=False)
        raise


def _devices(disk: Path) -> list[str]:
    listed = subprocess.run(["losetup", "--associated", disk], capture_output=True, text=True, check=True).stdout
    return [line.partition(":")[0] for line in listed.splitlines()]
