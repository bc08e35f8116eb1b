"""The kinds of engine that the agent must be right on: three versions, the later ones with either image store."""

import functools
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support import dockerd, proc

# "current" is whatever version Debian sid has now. Where it cannot be had or does not start, its tests are skipped, in
# CI, too: what a later Debian does must not stop this project. The others are required there.
KINDS = ("20.10", "26.1-containerd", "current", "current-containerd")
ALL = ("20.10", "26.1", *KINDS[1:])  # with the graph driver of 26.1, for what is cheap to test and may differ there
HEAVY = ("20.10", "26.1-containerd", "current-containerd")  # each version and each store, for what takes long to test
# What a story must know of an engine, for nothing that the agent does can change it.
FORGETS_WHAT_LOST_ITS_TAG = {"26.1-containerd"}  # to an import, in use or not
FORGETS_WHAT_A_BUILD_REPLACED = {"26.1-containerd", "current-containerd"}  # BuildKit's, under the same tag
BUILDS_IN_SILENCE = {"26.1-containerd"}  # BuildKit's images come without an event
UNDERSTATES_BYTES = {"26.1-containerd"}  # it does not report the compressed layers that it keeps
TELLS_COMMITS_APART = {"20.10", "26.1"}  # from a RUN of the classic builder
# A test to which the engine makes no difference: of the fixtures that are for each kind it gets the quickest one.
ON_ONE = pytest.mark.parametrize("kind", KINDS[:1], indirect=True, scope="session")
# A test of what only the current engine has.
ON_CURRENT = pytest.mark.parametrize("kind", KINDS[2:], indirect=True, scope="session")
# A test to which it makes little difference: the oldest with a graph driver, and the current one with the other store.
ON_BOTH_ENDS = pytest.mark.parametrize("kind", [KINDS[0], KINDS[-1]], indirect=True, scope="session")


@contextmanager
def running(kind: str) -> Iterator[dockerd.Dockerd]:
    """A private engine of one of ALL for as long as the block lasts; skips the test where it cannot be had."""
    programs, config = parts(kind)
    with ExitStack() as stack:
        with may_not_start(kind):
            engine = stack.enter_context(dockerd.running(programs, config))
        yield engine


def parts(kind: str) -> tuple[tuple[Path, ...], dict[str, object]]:
    """The folders with the programs of a kind, none for the system's own, and its daemon.json."""
    name, _, store = kind.partition("-")
    programs = _programs(name)
    return programs, {"features": {"containerd-snapshotter": bool(store)}} if programs else {}


@contextmanager
def may_not_start(kind: str) -> Iterator[None]:
    """Skips the test where the current engine does not start; any other has to."""
    try:
        yield
    except AssertionError as error:
        if not kind.startswith("current"):
            raise
        pytest.skip(f"{current()} does not start here: {str(error).splitlines()[-1]}")


class Pool:
    """One engine of each kind, started when it is first asked for."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: dict[str, dockerd.Dockerd] = {}
        self._missing: dict[str, str] = {}  # kind -> why; asked once

    def get(self, kind: str) -> dockerd.Dockerd:
        if kind in self._missing:
            pytest.skip(self._missing[kind])
        if kind not in self._started:
            try:
                self._started[kind] = self._stack.enter_context(running(kind))
            except pytest.skip.Exception as reason:
                self._missing[kind] = str(reason)
                raise
        return self._started[kind]


@contextmanager
def pool() -> Iterator[Pool]:
    """Engines that are all stopped when the block ends."""
    with ExitStack() as stack:
        yield Pool(stack)


def current() -> str:
    """The current engine by its version, for people; where set-up has not unpacked it, that."""
    program = CACHE / "current" / "usr/sbin/dockerd"
    if not program.exists():
        return "the current engine (not unpacked)"
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return f"the current engine ({told.partition(',')[0].removeprefix('Docker version ') or 'of no version'})"


CACHE = proc.ROOT / ".cache" / "engines"


def _programs(name: str) -> tuple[Path, ...]:
    """The folders with the programs of a version; none for the system's own."""
    if name == "20.10":
        return ()
    found, why = _unpacked(name)
    if name == "current" and not found:
        pytest.skip(f"no current engine: {why}")
    proc.require(found, f"no engine {name}: {why}")
    return Path(found, "usr/sbin"), Path(found, "usr/bin")


@functools.cache
def _unpacked(name: str) -> tuple[str, str]:
    """The folder that set-up unpacks the packages of an engine into, or an empty one and why there is none."""
    done = subprocess.run(
        [str(proc.ROOT / ".ci" / "bootstrap"), "engines", name], capture_output=True, text=True, check=False
    )
    return ("", done.stderr.strip().rpartition("\n")[2]) if done.returncode else (done.stdout.splitlines()[-1], "")
