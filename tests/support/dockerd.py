"""A private Docker Engine, beside any other, with its own folder, socket, containerd and data."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support import orphans, proc

FLAGS = ("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Dockerd(proc.Daemon):
    """One engine in `folder`, with the first programs on the search path `path`."""

    def __init__(self, folder: Path, path: str, config: Mapping[str, object]) -> None:
        orphans.note_folder(folder)
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        settings = folder / "daemon.json"
        settings.write_text(json.dumps(config))
        argv = [
            str(shutil.which("dockerd", path=path)),
            *FLAGS,
            f"--config-file={settings}",
            f"--data-root={folder / 'data'}",
            f"--exec-root={folder / 'exec'}",
            f"--host={self.url}",
            f"--pidfile={folder / 'docker.pid'}",
        ]
        env = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")} | {"PATH": path}
        env["TMPDIR"] = str(folder)  # containerd writes stack dumps here when it is slow
        super().__init__(argv, folder / "dockerd.log", env)

    def start(self) -> None:
        """Start it and wait until it answers."""
        super().start()
        self.wait_until(self.ping)

    def restart(self) -> None:
        """Stop it gracefully if it runs, then start it on the same data; use it also after `kill`."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Send SIGKILL. containerd ends too, but its shims and the containers run until the next start."""
        super().kill()
        # If PID 1 does not reap zombies, dockerd would take a dead containerd for a running one.
        pidfile = self.folder / "exec" / "containerd" / "containerd.pid"
        if pidfile.exists():
            proc.eventually(lambda: int(pidfile.read_text()) not in _arguments())
            pidfile.unlink()

    def ping(self) -> bool:
        try:
            return self.api("GET", "/_ping", timeout=2.0)[0] == 200
        except OSError:
            return False

    def api(self, method: str, path: str, body: object = None, timeout: float = proc.COMMAND) -> tuple[int, Any]:
        """Call the engine's API. Returns the status, and the JSON document (or the text) of the answer.

        A body of bytes is sent as a tar.
        """
        status, kind, content = self._call(method, path, body, timeout)
        text = content.decode()
        return status, json.loads(text) if kind.startswith("application/json") and text else text

    def export(self, container: str) -> bytes:
        """The file system of a container as a tar."""
        status, _, content = self._call("GET", f"/containers/{container}/export", None, proc.COMMAND)
        assert status == 200, content
        return content

    def _call(self, method: str, path: str, body: object, timeout: float) -> tuple[int, str, bytes]:
        """Call the engine's API. Returns the status, the content type and the content of the answer."""
        connection = _UnixConnection(self.socket, timeout)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body)
            kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
            connection.request(method, path, data, {"Content-Type": kind} if data is not None else {})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type") or "", answer.read()
        finally:
            connection.close()

    def docker(self, *args: str, stdin: bytes = b"", buildkit: bool = False, timeout: float = 300.0) -> str:
        """Run the docker CLI. Returns its stripped output. Raises AssertionError, with its message, if it fails."""
        done = self._cli(args, stdin, buildkit, timeout)
        if done.returncode:
            raise AssertionError(f"docker {' '.join(args)}: {done.stderr.decode().strip()}\n{self.tail(10)}")
        return done.stdout.decode().strip()

    def logs(self, container: str, lines: int = 50) -> str:
        """The last lines of a container's standard output, followed by those of its standard error."""
        done = self._cli(("logs", f"--tail={lines}", container))
        return (done.stdout + done.stderr).decode(errors="replace").strip()

    def _cli(
        self, args: Sequence[str], stdin: bytes = b"", buildkit: bool = False, timeout: float = proc.COMMAND
    ) -> subprocess.CompletedProcess[bytes]:
        env = self.env | {
            "DOCKER_HOST": self.url,
            "DOCKER_CONFIG": str(self.folder / "cli"),  # no plugins, contexts or credentials of the user
            "DOCKER_BUILDKIT": str(int(buildkit)),
        }
        program = proc.require_program("docker", "docker.io")
        return subprocess.run([program, *args], env=env, input=stdin, capture_output=True, check=False, timeout=timeout)

    def images(self) -> list[dict[str, Any]]:
        """All images, including intermediate ones, as the API lists them."""
        return list(self.api("GET", "/images/json?all=1")[1])

    def references(self) -> set[str]:
        """Every `repository:tag` on the engine."""
        return {tag for image in self.images() for tag in image["RepoTags"] or () if tag != "<none>:<none>"}

    def containers(self) -> list[dict[str, Any]]:
        """All containers in any state, as the API lists them."""
        return list(self.api("GET", "/containers/json?all=1")[1])

    def empty(self) -> None:
        """Remove all containers, images and build cache, which is faster than a new engine."""
        for container in self.containers():
            self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        self.api("POST", "/build/prune?all=1")
        proc.eventually(self._without_images)

    def _without_images(self) -> bool:
        for image in self.images():
            self.api("DELETE", f"/images/{quote(image['Id'])}?force=1")
        return not self.images()

    def close(self) -> None:
        """Stop it, and remove all its processes, mounts and files."""
        with suppress(OSError):
            self.cont_signal()
            for container in self.containers():
                self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        self.stop()
        end_processes_of(self.folder)
        for point in reversed(mounts_under(self.folder)):
            subprocess.run(["umount", "--lazy", point], check=False)
        shutil.rmtree(self.folder)


def search_path(binaries: Sequence[Path]) -> str:
    """A search path with those folders before the system's."""
    return ":".join([*map(str, binaries), proc.SYSTEM_PATH])


@contextmanager
def running(binaries: Sequence[Path] = (), config: Mapping[str, object] | None = None) -> Iterator[Dockerd]:
    """Run a private engine for the block.

    `binaries`: folders with the dockerd and containerd of another version; `config`: the content of daemon.json.
    """
    proc.require_root()
    path = search_path(binaries)
    proc.require(shutil.which("dockerd", path=path), "dockerd is missing: apt-get install docker.io")
    # A short path, as the paths of containerd's sockets below it may have at most 107 characters.
    engine = Dockerd(Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp")), path, config or {})
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


def processes_of(folder: Path) -> list[int]:
    """The processes with `folder` in their arguments, and their children, like shims and containers."""
    found = {pid for pid, argv in _arguments().items() if f"{folder}/" in argv}
    parents = _parents()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def mounts_under(folder: Path) -> list[str]:
    """The mount points below `folder`, in the order in which they were mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [point for line in lines if (point := line.split()[4]).startswith(f"{folder}/")]


def end_processes_of(folder: Path) -> None:
    """Send SIGKILL to all of `processes_of`, and wait until they are gone."""
    for pid in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    proc.eventually(lambda: not processes_of(folder))


def _arguments() -> dict[int, str]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if argv := entry.read_bytes():  # empty once it is dead, reaped or not
                found[int(entry.parent.name)] = argv.replace(b"\0", b" ").decode(errors="replace")
    return found


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name in brackets may contain spaces and brackets.
            found[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    return found
