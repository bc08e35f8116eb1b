"""A private HAProxy with the project's rules between an engine's socket and the agent."""

import functools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support import orphans, proc

RULES = proc.ROOT / "config" / "proxy"


class HAProxy(proc.Daemon):
    """One HAProxy in front of the engine at a socket. `url`: the address for the agent."""

    def __init__(self, engine: Path, folder: Path, rules: Path, *, build_cache: bool) -> None:
        orphans.note_folder(folder)
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        variables = {"ENGINE_SOCKET": str(engine), "PROXY_SOCKET": str(self.socket)}
        variables |= {"BUILD_CACHE": "1"} if build_cache else {}
        super().__init__([_program(), "-db", "-f", str(rules)], folder / "haproxy.log", {**os.environ, **variables})

    def start(self) -> None:
        """Start it and wait until it listens."""
        super().start()
        self.wait_until(self._listens)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0

    def refusals(self) -> list[str]:
        """The logged lines of the calls that it did not permit."""
        return [line for line in self.output().splitlines() if line.startswith("status=403 ")]

    def status(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: str = "") -> int:
        """The status of the answer to a request with exactly this target; 0 if there is none."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(proc.PATIENCE)
            client.connect(str(self.socket))
            client.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
            words = client.recv(4096).split(b" ", 2)
        return int(words[1]) if len(words) == 3 else 0


@contextmanager
def running(
    engine: Path,
    file: str = "haproxy.cfg",
    *,
    build_cache: bool = False,
    replaced: Mapping[str, str] | None = None,
) -> Iterator[HAProxy]:
    """Run a HAProxy in front of an engine's socket for the block, with one of the files in config/proxy.

    `replaced`: texts of the file, and what stands there instead: shorter time-outs, say.
    """
    folder = Path(tempfile.mkdtemp(prefix="tk-", dir="/tmp"))  # the path of a socket may have at most 107 characters
    text = (RULES / file).read_text()
    for old, new in (replaced or {}).items():
        assert old in text
        text = text.replace(old, new)
    (folder / file).write_text(text)
    proxy = HAProxy(engine, folder, folder / file, build_cache=build_cache)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.stop()
        shutil.rmtree(folder)


@functools.cache
def _program() -> str:
    done = subprocess.run([proc.ROOT / ".ci" / "bootstrap", "haproxy"], capture_output=True, text=True, check=False)
    proc.require(done.returncode == 0, f"no haproxy: {done.stderr.strip()}")
    return done.stdout.strip()
