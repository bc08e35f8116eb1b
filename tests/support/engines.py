"""The kinds of engine that the agent must be right on: two versions, and the later one with either image store."""

import functools
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support import dockerd, proc

KINDS = ("20.10", "26.1", "26.1-containerd")
# What a story must know of an engine, for nothing that the agent does can change it.
FORGETS_WHAT_LOST_ITS_TAG = {"26.1-containerd"}  # whose last tag an import or BuildKit took, in use or not
BUILDS_IN_SILENCE = {"26.1-containerd"}  # BuildKit's images come without an event
# A test to which the engine makes no difference: of the fixtures that are for each kind it gets the quickest one.
ON_ONE = pytest.mark.parametrize("kind", KINDS[:1], indirect=True, scope="session")


def running(kind: str) -> AbstractContextManager[dockerd.Dockerd]:
    """A private engine of one of KINDS for as long as the block lasts; skips the test where it cannot be had."""
    if kind == "20.10":
        return dockerd.running()
    features = {"containerd-snapshotter": kind == "26.1-containerd"}
    return dockerd.running(_programs_of_26_1(), {"features": features})


class Pool:
    """One engine of each kind, started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: dict[str, dockerd.Dockerd] = {}

    def get(self, kind: str) -> dockerd.Dockerd:
        if kind not in self._started:
            self._started[kind] = self._stack.enter_context(running(kind))
        return self._started[kind]


@contextmanager
def pool() -> Iterator[Pool]:
    """Engines that are all stopped when the block ends."""
    with ExitStack() as stack:
        yield Pool(stack)


def _programs_of_26_1() -> tuple[Path, ...]:
    found, why = _unpacked()
    proc.require(found, f"no engine 26.1: {why}")
    return Path(found, "usr/sbin"), Path(found, "usr/bin")


@functools.cache
def _unpacked() -> tuple[str, str]:
    """The folder that set-up unpacks the packages of 26.1 into, or an empty one and why there is none."""
    done = subprocess.run(
        [str(proc.ROOT / ".ci" / "bootstrap"), "engines"], capture_output=True, text=True, check=False
    )
    return ("", done.stderr.strip().rpartition("\n")[2]) if done.returncode else (done.stdout.splitlines()[-1], "")
