"""Asks this process's command server to run `torchkeeper` commands; see `command_server`."""

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.support import orphans

SERVER = Path(__file__).with_name("command_server.py")


class ForkedCommand:
    """A command that was started by the server; the same methods as those of `subprocess.Popen`."""

    def __init__(
        self,
        args: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        streams: Sequence[IO[bytes]],
        *,
        session: bool,
        user: Mapping[str, object] | None = None,
    ) -> None:
        """`streams`: standard input, output and error. `session`: in a session of its own. `user`: see `run`."""
        self._args = args
        self.returncode: int | None = None  # negative for a signal
        request = {"args": args, "env": dict(env), "folder": str(folder), "session": session, "user": user}
        self._answer = _ask(request, streams)
        self.pid = int(self._answer.readline())

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises TimeoutExpired after `timeout` seconds."""
        code = self._wait(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(["torchkeeper", *self._args], timeout or 0.0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._answer], [], [], timeout)[0]:
            self.returncode = int(self._answer.readline())
            self._answer.close()
        return self.returncode


def run(
    args: Sequence[str], env: Mapping[str, str], timeout: float, user: Mapping[str, object] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, like `subprocess.run`. Raises TimeoutExpired.

    `user`: None, or who runs it and in which mount namespace: the arguments of `command_server._switch_to`.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, Path(os.devnull).open("rb") as nothing:
        command = ForkedCommand(args, env, Path.cwd(), (nothing, out, err), session=False, user=user)
        try:
            code = command.wait(timeout)
        except subprocess.TimeoutExpired:
            command.kill()
            command.wait()
            raise
        return subprocess.CompletedProcess(["torchkeeper", *args], code, _text(out), _text(err))


def _ask(request: Mapping[str, object], streams: Sequence[IO[bytes]]) -> IO[bytes]:
    """Send a request. Returns the pipe on which the answer comes; unbuffered, so that `select` sees each line."""
    reading, writing = os.pipe()
    try:
        files = [*(stream.fileno() for stream in streams), writing]
        socket.send_fds(_server(), [json.dumps(request).encode()], files)
    finally:
        os.close(writing)
    return os.fdopen(reading, "rb", buffering=0)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@functools.cache
def _server() -> socket.socket:
    """The socket to this process's server, which ends when the socket is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # -P: the package comes from where an installed `torchkeeper` takes it, not from beside this file
    server = subprocess.Popen(
        [sys.executable, "-P", str(SERVER)], stdin=theirs.fileno(), env=os.environ | _source_tree()
    )
    theirs.close()
    orphans.note_process(server.pid)

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


def _source_tree() -> dict[str, str]:
    """Where the package is not installed, the path of the source tree."""
    installed = Path(sys.executable).with_name("torchkeeper").exists()
    return {} if installed else {"PYTHONPATH": str(orphans.ROOT)}
