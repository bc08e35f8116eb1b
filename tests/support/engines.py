"""The kinds of engine that the tests run on: three versions, the later ones with each of the two image stores."""

import functools
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support import dockerd, proc

# "current" is the version that Debian sid has now. If it is not available or does not start, its tests are skipped, in
# CI too: a change in Debian must not stop this project. The other kinds are required in CI.
KINDS = ("20.10", "26.1-containerd", "current", "current-containerd")
EVERY = os.environ.get("TEST_ENGINES") == "all"  # of `make test-engines`
BOTH_ENDS = (KINDS[0], KINDS[-1])  # the oldest with a graph driver, and the current with containerd
# For tests of one fact about engines: with EVERY also the graph driver of 26.1, which may differ there.
FACTS = ("20.10", "26.1", *KINDS[1:]) if EVERY else BOTH_ENDS
CONTRACT = KINDS if EVERY else BOTH_ENDS  # for what the fake and the real engines have in common
# For slow tests: the oldest and the newest, each with its store, in turn (`in_turn`). `make test-engines` runs each
# test on both, and on one between them.
HEAVY = ("20.10", "26.1-containerd", "current-containerd") if EVERY else BOTH_ENDS
# Behaviour of engines that tests must know, because the agent cannot change it.
FORGETS_WHAT_LOST_ITS_TAG = {"26.1-containerd"}  # it deletes an image whose tag an import takes, even in use
FORGETS_WHAT_A_BUILD_REPLACED = {"26.1-containerd", "current-containerd"}  # it deletes a BuildKit image without tags
BUILDS_IN_SILENCE = {"26.1-containerd"}  # a build with BuildKit raises no event
UNDERSTATES_BYTES = {"26.1-containerd"}  # it does not report the compressed layers that it stores
TELLS_COMMITS_APART = {"20.10", "26.1"}  # a commit can be distinguished from a RUN of the classic builder
# For a test that does not depend on the engine: it runs on the fastest kind only.
ON_ONE = pytest.mark.parametrize("kind", KINDS[:1], indirect=True, scope="session")
# For a test of something that only the current engine has.
ON_CURRENT = pytest.mark.parametrize("kind", KINDS[2:], indirect=True, scope="session")
# For a test that hardly depends on the engine.
ON_BOTH_ENDS = pytest.mark.parametrize("kind", BOTH_ENDS, indirect=True, scope="session")


def in_turn(items: Sequence[pytest.Item]) -> set[pytest.Item]:
    """Which of the slow tests run: each on one of its kinds, in turn; with TEST_ENGINES=all on all of them.

    A test is slow if its `kind` is one of HEAVY. It is the same choice in each process.
    """
    if EVERY:
        return set(items)
    on_kinds: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        kind = getattr(getattr(item, "callspec", None), "params", {}).get("kind")
        if kind in HEAVY:
            on_kinds.setdefault((item.nodeid.partition("[")[0], _other_parameters(item)), []).append(item)
    spared = [
        kinds[:index] + kinds[index + 1 :]
        for turn, kinds in enumerate(on_kinds.values())
        for index in (turn % len(kinds),)
    ]
    return set(items) - {item for group in spared for item in group}


def _other_parameters(item: pytest.Item) -> str:
    params = getattr(item, "callspec").params  # noqa: B009 - only a parametrized test has it
    return repr(sorted((name, repr(value)) for name, value in params.items() if name != "kind"))


@contextmanager
def running(kind: str) -> Iterator[dockerd.Dockerd]:
    """Run a private engine of one of FACTS for the block; skips the test if it is not available."""
    programs, config = parts(kind)
    with ExitStack() as stack:
        with may_not_start(kind):
            engine = stack.enter_context(dockerd.running(programs, config))
        yield engine


def parts(kind: str) -> tuple[tuple[Path, ...], dict[str, object]]:
    """The folders with the programs of a kind (empty for the system's), and its daemon.json."""
    name, _, store = kind.partition("-")
    programs = _programs(name)
    return programs, {"features": {"containerd-snapshotter": bool(store)}} if programs else {}


@contextmanager
def may_not_start(kind: str) -> Iterator[None]:
    """Skip the test if the current engine does not start; for any other kind, that is a failure."""
    try:
        yield
    except AssertionError as error:
        if not kind.startswith("current"):
            raise
        pytest.skip(f"{current()} does not start here: {str(error).splitlines()[-1]}")


class Pool:
    """One engine of each kind, started when it is first needed."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: dict[str, dockerd.Dockerd] = {}
        self._missing: dict[str, str] = {}  # kind -> why it is not available, tried once

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
    """A pool whose engines are all stopped when the block ends."""
    with ExitStack() as stack:
        yield Pool(stack)


def current() -> str:
    """The version of the current engine, for people, or why it is not available."""
    program = CACHE / "current" / "usr/sbin/dockerd"
    if not program.exists():
        return "the current engine (not unpacked)"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return f"the current engine ({version.partition(',')[0].removeprefix('Docker version ') or 'of no version'})"


CACHE = proc.ROOT / ".cache" / "engines"


def _programs(name: str) -> tuple[Path, ...]:
    """The folders with the programs of a version; empty for the system's."""
    if name == "20.10":
        return ()
    found, why = _unpacked(name)
    if name == "current" and not found:
        pytest.skip(f"no current engine: {why}")
    proc.require(found, f"no engine {name}: {why}")
    return Path(found, "usr/sbin"), Path(found, "usr/bin")


@functools.cache
def _unpacked(name: str) -> tuple[str, str]:
    """The folder into which the set-up unpacks an engine's packages, and ""; or "", and why it does not exist."""
    done = subprocess.run(
        [str(proc.ROOT / ".ci" / "bootstrap"), "engines", name], capture_output=True, text=True, check=False
    )
    return ("", done.stderr.strip().rpartition("\n")[2]) if done.returncode else (done.stdout.splitlines()[-1], "")
