"""Output that cannot be written ends a command in one sentence, and what an encoding lacks is replaced."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Group
from rich.text import Text

from agent.cli import output
from tests.cli.printing import lines
from tests.support import proc
from tests.support.forked_commands import ForkedCommand

PRINTING = [("--help",), ("history", "--json"), ("check",), ("pause",)]  # commands that need no engine
SAID = "torchkeeper: cannot write to standard output: {}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    nowhere = f"unix://{tmp_path / 'docker.sock'}"
    return proc.write_config(tmp_path / "c.toml", agent={"state_dir": tmp_path / "state"}, docker={"url": nowhere})


def run_into(target: str, args: tuple[str, ...], config: Path) -> tuple[int, str]:
    """The exit code of a command whose standard output is a file, and its standard error."""
    with Path(target).open("wb") as out, (config.parent / "err").open("w+b") as err, Path(os.devnull).open("rb") as no:
        command = ForkedCommand(args, proc.environment(config), config.parent, (no, out, err), session=False)
        code = command.wait(proc.COMMAND)
        err.seek(0)
        return code, err.read().decode()


@pytest.mark.parametrize("args", PRINTING, ids=" ".join)
def test_a_full_disk_ends_each_command_in_one_sentence(args: tuple[str, ...], config: Path) -> None:
    code, errors = run_into("/dev/full", args, config)
    assert code == 1
    assert errors.endswith(SAID.format("No space left on device"))
    assert "Traceback" not in errors


def test_a_closed_standard_output_ends_a_command_in_one_sentence(config: Path) -> None:
    argv = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *proc.command(), "history", "--json"]
    done = subprocess.run(argv, env=proc.environment(config), stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(SAID.format("it is closed"))
    assert "Traceback" not in done.stderr


def test_a_reader_that_went_away_is_told_nothing(config: Path) -> None:
    argv = ["/bin/sh", "-c", '"$@" 2>&3 | true', "sh", *proc.command(), "--help"]
    with (config.parent / "err").open("w+") as err:
        subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" 3>&2', "sh", *argv], env=proc.environment(config), stderr=err, check=True
        )
        err.seek(0)
        assert err.read() == ""


@contextmanager
def standard_output(encoding: str) -> Iterator[io.BytesIO]:
    """What is printed goes into a file of an encoding."""
    raw, before = io.BytesIO(), sys.stdout
    sys.stdout = io.TextIOWrapper(raw, encoding=encoding, errors="replace", write_through=True)
    try:
        yield raw
    finally:
        sys.stdout.detach()
        sys.stdout = before


def test_json_in_an_encoding_without_a_character_is_the_same_document() -> None:
    document = {"name": "é … ✓ \U0001f600", "lines": "a\nb"}
    with standard_output("ascii") as raw:
        output.print_json(document)
        assert json.loads(raw.getvalue().decode("ascii")) == document
    with standard_output("utf-8") as raw:
        output.print_json(document)
        assert "é … ✓".encode() in raw.getvalue()


def test_text_in_an_encoding_without_a_character_has_a_question_mark() -> None:
    with standard_output("ascii") as raw:
        output.show(Text("shortened…"))
        assert raw.getvalue() == b"shortened?\n"


def test_an_encoding_of_ascii_prints_a_result(config: Path) -> None:
    done = proc.torchkeeper("check", config=config, env={"PYTHONIOENCODING": "ascii", "DOCKER_HOST": "unix:///é"})
    assert (done.returncode, "Traceback" in done.stderr, done.stdout.isascii()) == (1, False, True)


def test_where_there_is_no_terminal_no_line_is_folded_whatever_the_environment_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    output.show(Text("a long line of many words " * 20 + "   "))
    assert output.width() is None
    assert capsys.readouterr().out == ("a long line of many words " * 20).rstrip() + "\n"


def test_a_line_to_be_copied_is_not_folded_in_a_terminal() -> None:
    assert lines(Group(output.unfolded("x y " * 20), Text("x y " * 10)), 20) == [
        "x y " * 19 + "x y",
        *["x y x y x y x y x y"] * 2,
    ]
