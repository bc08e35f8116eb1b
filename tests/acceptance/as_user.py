"""The commands as a user without root, who owns a home and may use the engine's socket."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.host import WATCHING, RealHost
from tests.support import proc

UID = 65534
# Wherever the tests and the interpreter lie, they can be read. What is not this user's cannot be written.
_READS = "+dac_read_search"


class User:
    """One user without root on a host."""

    def __init__(self, host: RealHost) -> None:
        proc.require_root()
        self._setpriv = proc.require_program("setpriv", "util-linux")
        self.host = host
        self.home = host.folder / "home"
        self.home.mkdir()
        self.owns(self.home)
        self.fallback = self.home / "state" / "torchkeeper"  # the XDG state folder
        self.log = host.folder / "user.log"

    def owns(self, path: Path) -> Path:
        os.chown(path, UID, UID)
        return path

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """A command's result; AssertionError where it ends in a traceback."""
        done = subprocess.run(
            self._argv(*args),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=proc.COMMAND,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    @contextmanager
    def agent(self) -> Iterator[proc.Daemon]:
        """`torchkeeper run` for as long as the block lasts, from when it watches the engine."""
        before = self.count_in_log(WATCHING)
        daemon = proc.Daemon(self._argv("run"), self.log, self._environment())
        daemon.start()
        try:
            daemon.wait_until(lambda: self.count_in_log(WATCHING) > before)
            yield daemon
        finally:
            daemon.stop()
        assert "Traceback" not in daemon.output(), daemon.tail(60)

    def count_in_log(self, text: str) -> int:
        """How often the log of this user's agents has a text."""
        return self.log.read_text().count(text) if self.log.exists() else 0

    def _argv(self, *args: str) -> list[str]:
        drop = [
            f"--reuid={UID}",
            f"--regid={UID}",
            "--clear-groups",
            f"--inh-caps={_READS}",
            f"--ambient-caps={_READS}",
        ]
        return [self._setpriv, *drop, *proc.command(), *args]

    def _environment(self) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("TORCHKEEPER_", "DOCKER_"))}
        mine = {"HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state")}
        return clean | mine | {"TORCHKEEPER_CONFIG": str(self.host.config)}
