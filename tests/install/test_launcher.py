"""The command takes the package that was installed with it, whatever else is named `agent`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.proc import ROOT

VERSION = f"torchkeeper {__import__('agent').__version__}\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the package, as a wheel has it."""
    folder = tmp_path / "site"
    folder.mkdir()
    shutil.copy(ROOT / "agent/launcher.py", folder / "torchkeeper.py")
    (folder / "agent").symlink_to(ROOT / "agent")
    return folder


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with the module `agent` of somebody else."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "agent.py").write_text("raise RuntimeError('another package')\n")
    return folder


def run(*path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`python -m torchkeeper --version` with these folders as PYTHONPATH."""
    return subprocess.run(
        [sys.executable, "-m", "torchkeeper", "--version"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_agent_on_pythonpath_does_not_matter(site: Path, foreign: Path, tmp_path: Path) -> None:
    done = run(foreign, site, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, VERSION, "")


def test_another_agent_in_the_working_directory_does_not_matter(site: Path, foreign: Path) -> None:
    done = run(site, cwd=foreign)
    assert (done.returncode, done.stdout, done.stderr) == (0, VERSION, "")


@pytest.mark.parametrize("replaced", [False, True])
def test_without_its_own_package_it_ends_with_one_sentence(site: Path, replaced: bool) -> None:
    (site / "agent").unlink()
    if replaced:
        (site / "agent").mkdir()
        (site / "agent/__init__.py").touch()
    done = run(site, cwd=site)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"torchkeeper: its package `agent` is not in {site}, or another package replaced it; "
        "install torchkeeper into an environment of its own: pipx install torchkeeper\n"
    )
