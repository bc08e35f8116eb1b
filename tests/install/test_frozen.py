"""What differs in the program of the Debian package, which is no Python that could run a module or get a package."""

import os
import runpy
import sys

import pytest

from agent import cli
from agent.demo import process
from agent.fleet import extra
from tests.support.proc import ROOT


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)


def test_python_starts_itself_again_as_a_module() -> None:
    assert process.own_command() == [sys.executable, "-P", "-m", "agent"]
    assert extra.how_to_install() == extra.INSTALL


@pytest.mark.usefixtures("frozen")
def test_the_program_starts_itself_again() -> None:
    assert process.own_command() == [sys.executable]


@pytest.mark.usefixtures("frozen")
def test_the_program_says_that_its_package_has_no_monitor() -> None:
    text = extra.how_to_install()
    assert text.startswith("packages that the Debian package does not contain")
    assert text.endswith(extra.INSTALL)


@pytest.mark.parametrize("before", [None, "/opt/cuda/lib64"])
def test_what_the_program_starts_gets_the_libraries_of_the_system(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    started = []
    monkeypatch.setattr(cli, "main", lambda: started.append(os.environ.get("LD_LIBRARY_PATH")))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib/torchkeeper/_internal")
    if before:
        monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", before)
    runpy.run_path(str(ROOT / "config/packaging/start.py"))
    assert started == [before]
    assert "LD_LIBRARY_PATH_ORIG" not in os.environ
