"""A private Podman that serves Docker's API, with a folder of its own beside any other."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import proc
from tests.support.dockerd import Dockerd

# Root's Podman keeps a cache below /var/lib, and no option moves it: in mounts of its own that is an empty folder.
_COVER = 'mount -t tmpfs tmpfs /var/lib && exec "$@"'


class Podman(Dockerd):
    """One Podman. It has images and creates containers; it starts none, which would need more of the system."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "podman.sock"
        self.url = f"unix://{self.socket}"
        root, run = folder / "data", folder / "run"
        _write_settings(folder, programs, root, run)
        command = [
            *(proc.require_program("unshare", "util-linux"), "--mount", "sh", "-c", _COVER, "sh"),
            *(str(programs / "usr/bin/podman"), f"--root={root}", f"--runroot={run}", f"--tmpdir={folder / 'tmp'}"),
            *("--cgroup-manager=cgroupfs", "system", "service", "--time=0", self.url),
        ]
        libraries = ":".join(str(path.parent) for path in programs.glob("usr/lib/**/libgpgme.so.*"))
        settings = {
            "HOME": str(folder),  # the policy for images is looked for below it
            "LD_LIBRARY_PATH": libraries,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "PATH": proc.SYSTEM_PATH,
        }
        clean = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        proc.Daemon.__init__(self, command, folder / "podman.log", clean | settings)


def _write_settings(folder: Path, programs: Path, root: Path, run: Path) -> None:
    conmon = json.dumps([str(programs / "usr/bin/conmon")])
    (folder / "containers.conf").write_text(
        f'[engine]\nconmon_path = {conmon}\nruntime = "runc"\n[network]\nnetwork_backend = "cni"\n'
    )
    (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\nrunroot = "{run}"\ngraphroot = "{root}"\n')
    policy = folder / ".config/containers/policy.json"
    policy.parent.mkdir(parents=True)
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))


@contextmanager
def running() -> Iterator[Podman]:
    """A private Podman for as long as the block lasts; skips the test, in CI too, where it cannot be had."""
    proc.require_root()
    programs = _unpacked()
    folder = Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp"))
    try:
        podman = Podman(programs, folder)
        try:
            podman.start()
        except AssertionError as error:
            pytest.skip(f"podman does not start here: {str(error).splitlines()[-1]}")
        try:
            yield podman
        finally:
            podman.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpacked() -> Path:
    done = subprocess.run([proc.ROOT / ".ci" / "bootstrap", "podman"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no podman: {done.stderr.strip()}")
    return Path(done.stdout.splitlines()[-1])
