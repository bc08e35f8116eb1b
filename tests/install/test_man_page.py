"""The manual page shows the commands as they are, and `man` can format it."""

import importlib.util
import subprocess

import typer.main

from agent import cli
from tests.support import proc
from tests.support.proc import ROOT

PAGE = ROOT / "agent/cli/torchkeeper.1"


def generated() -> str:
    """The page as `make man` writes it. What writes it is in the source tree, and not in the package."""
    spec = importlib.util.spec_from_file_location("man", ROOT / "agent/cli/man.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.page())


def test_it_is_up_to_date_after_make_man() -> None:
    assert PAGE.read_text() == generated()


def test_it_shows_each_command_and_option() -> None:
    page = generated().replace("\\-", "-")
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        assert f"\n.SS torchkeeper {name}" in page
        options = [option for option in command.params if option.param_type_name == "option" and not option.hidden]
        assert all(option.opts[0] in page for option in options)


def test_man_formats_it_without_a_warning() -> None:
    groff = proc.require_program("groff", "groff-base")
    done = subprocess.run(
        [groff, "-man", "-ww", "-Tascii", "-P-cbou", str(PAGE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "torchkeeper plan" in done.stdout
