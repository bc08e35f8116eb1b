"""A private image registry on loopback, for real pushes and pulls and the digests that they create."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.support import mosquitto, orphans, proc


class Registry(proc.Daemon):
    """One registry; `name` is the host part of its references, as in `127.0.0.1:5000/team/app:v1`."""

    def __init__(self, program: str, folder: Path, port: int) -> None:
        orphans.note_folder(folder)
        self.port = port
        self.name = f"127.0.0.1:{port}"
        settings = folder / "registry.json"
        settings.write_text(json.dumps(_settings(folder, self.name)))  # JSON is YAML too
        super().__init__([program, "serve", str(settings)], folder / "registry.log")

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        self.wait_until(self.answers)

    def answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2.0)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def running() -> Iterator[Registry]:
    """Run a registry for the block; engines pull from it without TLS."""
    proc.require_root()
    folder = Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp"))
    try:
        registry = Registry(_program(), folder, mosquitto.free_port())
        registry.start()
        try:
            yield registry
        finally:
            registry.stop()
    finally:
        shutil.rmtree(folder)


def _program() -> str:
    """The registry's program: the system's, or the one that the set-up unpacks into `.cache`."""
    done = subprocess.run(
        [str(proc.ROOT / ".ci" / "bootstrap"), "registry"], capture_output=True, text=True, check=False
    )
    proc.require(done.returncode == 0, f"no docker-registry: {done.stderr.strip()}")
    return done.stdout.splitlines()[-1]


def _settings(folder: Path, address: str) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data")},
            "delete": {"enabled": True},
        },
        "http": {"addr": address},
    }
