"""A minimal Debian or Ubuntu in a folder, with programs that run inside."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import orphans

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}


class Chroot:
    """A root folder. Only /proc is mounted into it, where a program finds its own file, and no service runs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, with no variable of this process."""
        return subprocess.run(
            ["chroot", self.folder, *command],
            env=ENVIRONMENT | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, *command: str) -> str:
        """Run a command that has to work. Returns its standard output."""
        done = self.run(*command)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def path(self, name: str) -> Path:
        """The file or folder `name`, which is absolute inside."""
        return self.folder / name.lstrip("/")

    def put(self, source: Path) -> str:
        """Copy a file in. Returns its path inside."""
        shutil.copy(source, self.folder / "root" / source.name)
        return f"/root/{source.name}"


@contextmanager
def unpacked(tar: Path) -> Iterator[Chroot]:
    """A new root from a tar file of .ci/bootstrap. It is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tk-root-"))
    orphans.note_folder(folder)
    try:
        subprocess.run(["tar", "-C", folder, "-xpf", tar], check=True)
        (folder / "dev").mkdir(exist_ok=True)
        for device, numbers in {"null": (1, 3), "urandom": (1, 9)}.items():
            if not (folder / "dev" / device).exists():
                os.mknod(folder / "dev" / device, 0o020666, os.makedev(*numbers))
        for name in ("proc", "sys"):
            (folder / name).mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "proc", "proc", folder / "proc"], check=True)
        try:
            yield Chroot(folder)
        finally:
            subprocess.run(["umount", folder / "proc"], check=True)
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)
