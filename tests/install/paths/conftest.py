"""What is installed, built once for all tests here: the wheel of this tree, and the Debian package with its program."""

import subprocess
from pathlib import Path

import pytest

from tests.install import packaging
from tests.support import proc
from tests.support.proc import ROOT


def bootstrap(*arguments: str) -> Path:
    """The path that `.ci/bootstrap` prints. What cannot be had here is a skip, and in CI a failure."""
    made = subprocess.run([ROOT / ".ci/bootstrap", *arguments], capture_output=True, text=True, check=False)
    proc.require(made.returncode == 0, made.stderr)
    return Path(made.stdout.strip())


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with uv, pipx, pip and cyclonedx-py."""
    return bootstrap("release") / "bin"


@pytest.fixture(scope="session")
def dist(tools: Path) -> Path:
    """What `make dist` makes of this tree."""
    assert tools.exists()
    done = subprocess.run([ROOT / ".ci/dist"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ROOT / "dist"


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package, with the real program in it."""
    proc.require_root()
    frozen = subprocess.run([ROOT / ".ci/freeze"], capture_output=True, text=True, check=False)
    assert frozen.returncode == 0, frozen.stderr
    return packaging.build(Path(frozen.stdout.strip()), tmp_path_factory.mktemp("deb"))
