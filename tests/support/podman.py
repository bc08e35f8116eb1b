"""A private Podman that serves Docker's API, in a folder of its own."""

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

# As root, Podman has a cache below /var/lib that no option moves: a private mount makes that an empty folder.
_COVER = 'mount -t tmpfs tmpfs /var/lib && exec "$@"'


class Podman(Dockerd):
    """One Podman. It can create containers but not start them, which would need more of the system."""

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
            "HOME": str(folder),  # Podman reads the policy for images below it
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
    """Run a private Podman for the block; skips the test, also in CI, if it is not available."""
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
