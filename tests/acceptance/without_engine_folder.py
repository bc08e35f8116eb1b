"""The agent as in a container that has the engine's socket only: it cannot see the engine's directory."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.acceptance.host import WATCHING, RealHost
from tests.support import proc

# In mounts of its own: the socket stays, under another name, and an empty folder covers the engine's.
_COVER = 'mount --bind "$1" "$2" && mount -t tmpfs tmpfs "$3" && shift 3 && exec "$@"'


def run(host: RealHost, *args: str) -> subprocess.CompletedProcess[str]:
    """A command's result; AssertionError where it ends in a traceback."""
    done = subprocess.run(
        _argv(host, *args), env=_environment(), capture_output=True, text=True, check=False, timeout=proc.COMMAND
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


@contextmanager
def agent(host: RealHost, ready: Callable[[], object] | None = None) -> Iterator[proc.Daemon]:
    """`torchkeeper run` for as long as the block lasts, from when it watches the engine."""
    daemon = proc.Daemon(_argv(host, "run"), host.log, _environment())
    daemon.start()
    try:
        daemon.wait_until(ready or (lambda: host.count_in_log(WATCHING)))
        yield daemon
    finally:
        daemon.stop()
    assert "Traceback" not in daemon.output(), daemon.tail(60)


def _argv(host: RealHost, *args: str) -> list[str]:
    proc.require_program("unshare", "util-linux")
    socket = host.folder / "docker.sock"
    socket.touch()
    host.configure(docker={"url": f"unix://{socket}"})
    cover = ["unshare", "--mount", "sh", "-c", _COVER, "sh", host.engine.socket, socket, host.engine.folder]
    return [*map(str, cover), *proc.command(), *args, "--config", str(host.config)]


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("TORCHKEEPER_", "DOCKER_"))}
