"""Runs `torchkeeper` commands in forks of one process that has imported the package: a tenth of the work of a start.

Most of what a short command costs is the import of its libraries. A test run starts some five hundred of them.

Each request on the socket (file descriptor 0) has the arguments, the environment and the folder, and four open files:
standard input, output and error, and a pipe for the answer. The answer is the process ID, then the exit code, a line
each.
"""

import contextlib
import ctypes
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
from typing import Any

LARGEST = 1_000_000  # bytes of a request
CLONE_NEWNS = 0x20000  # of sched.h
UNUSED = ("agent.__main__", "agent.demo", "agent.fleet.history", "agent.fleet.web")  # by the commands that tests repeat


def serve(requests: socket.socket) -> None:
    """Answer requests until the other end is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks that wait for the commands
    while True:
        message, files, _, _ = socket.recv_fds(requests, LARGEST, 4)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            _supervise(json.loads(message), files)
        for file in files:
            os.close(file)


def _supervise(request: dict[str, Any], files: list[int]) -> None:
    """Run the command in one more fork, and answer with its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, answer = files
    command = os.fork()
    if command == 0:
        os.close(answer)
        _become(request, streams)
        from agent.cli import main

        main()
        sys.exit(0)
    os.write(answer, f"{command}\n".encode())
    _, status = os.waitpid(command, 0)
    os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Take over the arguments, the environment, the folder and the standard streams of the request."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    if request["user"]:
        _switch_to(**request["user"])
    if request["session"]:
        os.setsid()
    sys.argv[:] = ["torchkeeper", *request["args"]]


def _switch_to(namespace: str, uid: int, groups: list[int]) -> None:
    """Enter a mount namespace, and become a user, whose number is that of the first group, too."""
    handle = os.open(namespace, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    os.close(handle)
    os.chdir("/")
    if uid:
        os.setgroups(groups)
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)  # without capabilities from here on


def import_everything() -> None:
    """Import what a command might import."""
    import agent

    for module in pkgutil.walk_packages(agent.__path__, "agent."):
        if not module.name.startswith(UNUSED):
            with contextlib.suppress(ImportError):  # of a package that is not installed
                importlib.import_module(module.name)


if __name__ == "__main__":
    import_everything()
    with socket.socket(fileno=os.dup(0)) as sock:
        serve(sock)
