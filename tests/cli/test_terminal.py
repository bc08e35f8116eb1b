"""What strangers name things reaches no terminal as it stands: not in logs, errors, notes or JSON."""

import json

import pytest
import structlog

from agent import cli, logs
from agent.cli import common
from agent.core import text

HOSTILE = "team/a:\x1b[31m\x9b2J\u202e\x07\ud800"


def test_a_log_line_is_one_line_that_no_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("console")
    try:
        structlog.get_logger().info("evicted", action="evict", image=HOSTILE, why="idle\n2026-01-01 [info] forged")
    finally:
        structlog.reset_defaults()
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    assert "action=evict" in line


def test_a_traceback_in_the_log_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("console")
    try:
        raise RuntimeError(HOSTILE)
    except RuntimeError:
        structlog.get_logger().exception("a bug")
    finally:
        structlog.reset_defaults()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 3
    assert all(line.isprintable() for line in lines)


def test_json_has_what_a_terminal_would_obey_escaped_and_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"name": HOSTILE, "plain": "é ✓", "lines": "a\nb"}
    common.print_json(document)
    printed = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in printed)
    assert json.loads(printed) == document
    assert "é ✓" in printed


def test_notes_and_errors_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_notes([HOSTILE])
    with pytest.raises(SystemExit):
        cli._stop(HOSTILE, 1)
    assert capsys.readouterr().err == f"note: {text.clean(HOSTILE)}\ntorchkeeper: {text.clean(HOSTILE)}\n"
    assert text.clean(HOSTILE).isprintable()
