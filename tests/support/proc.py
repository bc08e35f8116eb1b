"""Programs under test: daemons that are stopped by their PID, the `torchkeeper` command, and bounded waiting."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

import pytest

from tests.support import forked_commands, orphans
from tests.support.forked_commands import ForkedCommand

T = TypeVar("T")
Process = subprocess.Popen[bytes] | ForkedCommand

ROOT = orphans.ROOT
POLL = 0.05  # seconds between two checks
PATIENCE = 90.0  # seconds to wait for something that should happen soon, on a very busy machine
COMMAND = 180.0  # seconds that one command may take on such a machine
# The distribution's own programs first: /usr/local may have another version of a program.
SYSTEM_PATH = f"/usr/sbin:/usr/bin:/sbin:/bin:{os.environ.get('PATH', '')}"


def require(found: object, why: str) -> None:
    """Skip the test if a real part is not available; in CI that is a failure."""
    if found:
        return
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def require_root() -> None:
    require(os.geteuid() == 0, "real parts need root")


def require_program(name: str, package: str) -> str:
    """The path of a program of the system; `package` is its package in Debian."""
    path = shutil.which(name, path=SYSTEM_PATH)
    require(path, f"{name} is missing: apt-get install {package}")
    return str(path)


def eventually(look: Callable[[], T], timeout: float = PATIENCE) -> T:
    """Return the first true value of `look()`. Raises AssertionError, with the last value, after `timeout` seconds.

    The last call begins after that time, however late this process was scheduled.
    """
    end = time.monotonic() + timeout
    while True:
        is_last = time.monotonic() > end
        if value := look():
            return value
        if is_last:
            raise AssertionError(f"not within {timeout} s; the last value was {value!r}")
        time.sleep(POLL)


async def eventually_async(look: Callable[[], Awaitable[T]], timeout: float = PATIENCE) -> T:
    """Like `eventually`, for a coroutine function; the event loop runs between two calls."""
    end = time.monotonic() + timeout
    while True:
        is_last = time.monotonic() > end
        if value := await look():
            return value
        if is_last:
            raise AssertionError(f"not within {timeout} s; the last value was {value!r}")
        await asyncio.sleep(POLL)


def listens(port: int) -> bool:
    """Whether a loopback port accepts connections."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False


class Daemon:
    """A background process in a session of its own, which writes to one log file."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.argv = tuple(argv)
        self.log = log
        self.env = dict(os.environ if env is None else env)
        self._process: Process | None = None

    def start(self) -> None:
        """Start it, or start it again; its output is appended to the log."""
        with self.log.open("ab") as out, Path(os.devnull).open("rb") as nothing:
            self._process = self._start(nothing, out)
        orphans.note_process(self._process.pid)

    def _start(self, stdin: IO[bytes], out: IO[bytes]) -> Process:
        return subprocess.Popen(
            self.argv, env=self.env, cwd=self.log.parent, stdin=stdin, stdout=out, stderr=out, start_new_session=True
        )

    @property
    def pid(self) -> int:
        return self._running().pid

    def returncode(self) -> int | None:
        """The exit code (negative for a signal), or None while it runs."""
        return self._running().poll()

    def stop(self, grace: float = PATIENCE) -> int:
        """Send SIGTERM, and SIGKILL after `grace` seconds. Returns the exit code."""
        process = self._running()
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()

    def kill(self) -> None:
        """Send SIGKILL, so that it cannot write anything more."""
        self._running().kill()
        self._running().wait()

    def send_signal(self, number: signal.Signals) -> None:
        self._running().send_signal(number)

    def stop_signal(self) -> None:
        """Send SIGSTOP and wait until all its threads have stopped: its sockets stay open, but it does not answer."""
        self._running().send_signal(signal.SIGSTOP)
        eventually(self._stands_still)

    def cont_signal(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.output().splitlines()[-lines:])

    def wait_until(self, ready: Callable[[], object], timeout: float = PATIENCE) -> None:
        """Wait for `ready`. Raises AssertionError, with the end of the log, if it ends before or takes too long."""
        try:
            eventually(lambda: self.returncode() is not None or ready(), timeout)
        except AssertionError as error:
            raise AssertionError(f"{self.argv[0]}: {error}\n{self.tail()}") from error
        if self.returncode() is not None:
            raise AssertionError(f"{self.argv[0]} ended with {self.returncode()}\n{self.tail()}")

    def _stands_still(self) -> bool:
        threads = Path(f"/proc/{self.pid}/task").glob("*/stat")
        try:
            return all(thread.read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)
        except OSError:  # a thread has just ended
            return False

    def _running(self) -> Process:
        if self._process is None:
            raise AssertionError(f"{self.argv[0]} was never started")
        return self._process


class ForkedDaemon(Daemon):
    """A `torchkeeper` command in the background, forked from the command server."""

    def _start(self, stdin: IO[bytes], out: IO[bytes]) -> Process:
        return ForkedCommand(self.argv[1:], self.env, self.log.parent, (stdin, out, out), session=True)


def command() -> list[str]:
    """The installed `torchkeeper`; if it is not installed, the same entry point from the tree."""
    installed = Path(sys.executable).with_name("torchkeeper")
    if installed.exists():
        return [str(installed)]
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = 'torchkeeper'\n"
        "from agent.cli import main; main()",
    ]


def torchkeeper(
    *args: str, config: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = COMMAND
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end. The caller checks the exit code.

    A command with an environment of its own is started anew: Python reads some variables only then.
    """
    if env is None:
        return forked_commands.run(args, environment(config, env), timeout)
    return subprocess.run(
        [*command(), *args],
        env=environment(config, env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


@contextmanager
def agent(
    *args: str,
    folder: Path,
    config: Path | None = None,
    env: Mapping[str, str] | None = None,
    ready: Callable[[], object] | None = None,
    timeout: float = PATIENCE,
    verb: str = "run",
    forked: bool = True,
) -> Iterator[Daemon]:
    """Run `torchkeeper run` in the background. The block begins when `ready` is true, and ends with SIGTERM.

    The log is in `folder` (`<verb>.log`). `verb="monitor"` runs the fleet's monitor in the same way. `forked`: not
    started anew, if it has no environment of its own; its memory then has all that any command imports.
    """
    log, variables = folder / f"{verb}.log", environment(config, env)
    daemon = (
        ForkedDaemon(["torchkeeper", verb, *args], log, variables)
        if forked and env is None
        else Daemon([*command(), verb, *args], log, variables)
    )
    daemon.start()
    try:
        daemon.wait_until(ready or (lambda: True), timeout)
        yield daemon
    finally:
        daemon.stop()


def write_config(path: Path, **sections: Mapping[str, object]) -> Path:
    """Write settings as TOML: `write_config(path, policy={"ttl": "3s", "rules": [{"match": "a:*"}]})`."""
    lines = (
        f"[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())
        for section, keys in sections.items()
    )
    path.write_text("\n".join(lines))
    return path


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def environment(config: Path | None, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without variables that influence the command, except `config` and `env`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("TORCHKEEPER_", "DOCKER_"))}
    chosen = {"TORCHKEEPER_CONFIG": str(config)} if config else {}
    return clean | chosen | dict(env or {})
