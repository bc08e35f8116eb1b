"""The help of every command: two examples that can be typed, a text for each argument, and what a typo may mean."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from agent import cli
from agent.cli.examples import EXAMPLES

ROOT = typer.main.get_command(cli.app)


def commands(group: Any = ROOT, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command and group -> its path: "", "plan", "fleet", "fleet status"."""
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{path} {name}".strip())


ALL = dict(commands())


def run(*args: str) -> Result:
    return CliRunner().invoke(cli.app, args, prog_name="torchkeeper", env={"COLUMNS": "80"})


def help_of(path: str) -> str:
    done = run(*path.split(), "--help")
    assert done.exit_code == 0
    return done.stdout


@pytest.mark.parametrize("path", ALL)
def test_the_help_has_two_examples_fits_80_columns_and_shows_no_types(path: str) -> None:
    text = help_of(path)
    assert text.count("\n  torchkeeper ") == 2
    assert max(map(len, text.splitlines())) <= 80
    assert not any(sign in text for sign in ("<bool>", "<str>", "{", "\x1b", "│"))


@pytest.mark.parametrize("path", ALL)
def test_each_example_can_be_typed(path: str) -> None:
    for line, _ in EXAMPLES[path]:
        words = shlex.split(line.split(" | ")[0].split(" && ")[0].split(" > ")[0])
        names = [name for name in ALL if name and line.split(" | ")[0].startswith(name)]
        name = max(names, key=len)
        command = ALL[name]
        assert command.make_context(name, words[len(name.split()) :]).args == []  # raises for an unknown option


@pytest.mark.parametrize("path", ALL)
def test_each_argument_and_option_has_a_text(path: str) -> None:
    params = [param for param in ALL[path].params if not getattr(param, "hidden", False)]
    assert [param.name for param in params if not param.help] == []


def test_the_usage_names_an_argument_as_it_is_typed() -> None:
    assert help_of("explain").startswith("Usage: torchkeeper explain [OPTIONS] IMAGE\n")


def test_what_people_look_for_comes_first() -> None:
    listed = [line.split()[0] for line in help_of("").split("Commands:\n")[1].splitlines() if line[2:3].strip()]
    assert listed[:3] == ["plan", "explain", "pin"]


def test_the_help_names_every_default_of_the_configuration_file() -> None:
    text = " ".join(help_of("plan").split())
    assert "Default: TORCHKEEPER_CONFIG, then /etc/torchkeeper/torchkeeper.toml, then the built-in defaults." in text


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (("plna",), "No such command 'plna'. Did you mean 'plan'?"),
        (("version",), "No such command 'version'. Did you mean 'torchkeeper --version'?"),
        (("plan", "--jsn"), "No such option: --jsn. Did you mean --json?"),
        (("fleet", "statsu"), "No such command 'statsu'. Did you mean 'status'?"),
        (("explain",), "Missing argument 'IMAGE'."),
        (("plan", "--everything"), "No such option: --everything"),
        (("plan", "--sort", "colour"), "Invalid value for '--sort'"),
    ],
)
def test_a_typo_is_answered_with_what_was_meant(typed: tuple[str, ...], answer: str) -> None:
    done = run(*typed)
    assert (done.exit_code, answer in done.stderr, done.stdout) == (2, True, "")


def test_the_program_alone_shows_its_help() -> None:
    done = run()
    assert (done.exit_code, done.stderr.startswith("Usage: torchkeeper")) == (2, True)
