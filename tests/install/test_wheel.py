"""What is in the wheel, and where."""

import os
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support.proc import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this tree, without the libraries of the page that npm brings."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        env=os.environ | {"HATCH_BUILD_NO_HOOKS": "true"},
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(Path(folder).glob("*.whl")))


def test_the_command_is_a_module_of_its_own_beside_the_package(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("torchkeeper.py") == (ROOT / "agent/launcher.py").read_bytes()
    scripts = ConfigParser()
    scripts.read_string(wheel.read(_metadata(wheel, "entry_points.txt")).decode())
    assert dict(scripts["console_scripts"]) == {"torchkeeper": "torchkeeper:main"}


def test_it_has_two_top_level_names_and_no_tests(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in tops if not name.endswith((".dist-info", ".data"))} == {"agent", "torchkeeper.py"}


def test_it_brings_the_manual_page_to_where_man_finds_it(wheel: zipfile.ZipFile) -> None:
    pages = [name for name in wheel.namelist() if name.endswith(".1")]
    assert [name.split("/", 1)[1] for name in pages] == ["data/share/man/man1/torchkeeper.1"]


def test_what_only_a_build_needs_is_not_in_it(wheel: zipfile.ZipFile) -> None:
    build_only = {
        "agent/launcher.py",
        "agent/cli/man.py",
        "agent/fleet/page/vendor.py",
        "agent/fleet/page/package.json",
    }
    assert not build_only & set(wheel.namelist())


def test_it_has_the_licence(wheel: zipfile.ZipFile) -> None:
    assert wheel.read(_metadata(wheel, "licenses/LICENSE")) == (ROOT / "LICENSE").read_bytes()


def _metadata(wheel: zipfile.ZipFile, name: str) -> str:
    return next(member for member in wheel.namelist() if member.endswith(f".dist-info/{name}"))
