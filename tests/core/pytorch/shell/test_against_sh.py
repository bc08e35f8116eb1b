"""Following RUN lines is compared with real shells, in which a stub `pip` leaves a mark if it ran."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.core.model import HistoryStep
from agent.core.pytorch import build_history

SEED = 20
PROGRAMS = 150
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]

STUB = """#!/bin/sh
case "$1" in
install) touch "$MARK" ;;
uninstall) rm -f "$MARK" ;;
esac
"""

CONDITIONS = (
    "true",
    "false",
    '[ "$A" = yes ]',
    '[ "$A" != yes ]',
    '[ -n "$B" ]',
    "[ -z $B ]",
    "[ $C -gt 3 ]",
    '[ "$C" -le 3 ]',
    "! true",
    "test $A = no",
    '[ "$A" = yes -a "$C" = 5 ]',
    '[ -z "$B" -o "$A" = no ]',
    'case "$A" in y*) true ;; *) false ;; esac',
    '[ "${B:-x}" = x ]',
    '[ "${A:+set}" = set ]',
    '[ "${A#y}" = es ]',
    "[ -f /no/such/file ]",
    "(exit 1)",
    "choose",
)
VALUES = {"A": "yes", "B": "", "C": "5"}


class Writer:
    """Writes programs at random, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def program(self, depth: int = 3) -> str:
        lines = [self._statement(depth) for _ in range(self._random.randint(1, 3))]
        return f"choose() {{ {self._condition(0)}; }}; " + "; ".join(lines)

    def _statement(self, depth: int) -> str:
        kinds = (
            ("install", "other")
            if depth == 0
            else ("install", "other", "if", "and", "or", "for", "case", "group", "sub")
        )
        kind = self._random.choice(kinds)
        return self._forms(kind, depth - 1)

    def _forms(self, kind: str, depth: int) -> str:
        choose = self._random.choice
        one, two = (self._statement(depth), self._statement(depth)) if depth >= 0 else ("", "")
        test, other = self._condition(depth + 1), self._condition(depth + 1)
        return {
            "install": choose(["pip install torch"] * 3 + ["pip uninstall -y torch"]),
            "other": choose([": nothing", "A=no", "B=x", "C=2", "echo 'pip install torch'", "exit 0"]),
            "if": f"if {test}; then {one}; elif {other}; then {two}; else {one}; fi",
            "and": f"{test} && {one}",
            "or": f"{test} || {one}",
            "for": f"for name in a b; do {one}; {test} && break; {two}; done",
            "case": f'case "$C" in [0-4]) {one} ;; 5|6) {two} ;; *) {one} ;; esac',
            "group": f"{{ {one}; {two}; }}",
            "sub": f"( {one}; {two} )",
        }[kind]

    def _condition(self, depth: int) -> str:
        chosen = self._random.choice(CONDITIONS)
        return chosen if depth or chosen != "choose" else "true"


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    program = tmp_path / "pip"
    program.write_text(STUB)
    program.chmod(0o755)
    return tmp_path


def ran(shell: str, program: str, folder: Path) -> tuple[bool, bool]:
    """Whether the line succeeded, and whether torch was there in the end."""
    mark = folder / "mark"
    mark.unlink(missing_ok=True)
    path = f"{folder}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    done = subprocess.run(
        [shell, "-c", program],
        env=VALUES | {"PATH": path, "MARK": str(mark)},
        capture_output=True,
        timeout=20,
        check=False,
    )
    return done.returncode == 0, mark.exists()


def judged(shell: str, program: str) -> tuple[bool, bool]:
    """Whether the history certainly shows torch, and whether it shows no sign of it."""
    arguments = " ".join(f"{name}={value}" for name, value in VALUES.items())
    line = f"RUN |{len(VALUES)} {arguments} /bin/{'sh' if shell == 'dash' else shell} -c {program} # buildkit"
    found = build_history.scan([HistoryStep(line, 0)])
    return bool(found.torch), not found.torch and not found.doubts


@pytest.mark.parametrize("shell", SHELLS)
def test_the_result_is_what_a_real_shell_did(shell: str, stub: Path) -> None:
    writer = Writer(SEED)
    sure = none = 0
    for _ in range(PROGRAMS):
        program = writer.program()
        ended_well, has_torch = ran(shell, program, stub)
        if not ended_well:  # there would be no such layer
            continue
        is_sure, is_none = judged(shell, program)
        assert not (is_sure and not has_torch), f"torch was found, but is not there: {program}"
        assert not (is_none and has_torch), f"nothing was found, but torch is there: {program}"
        sure, none = sure + is_sure, none + is_none
    assert sure > 20
    assert none > 20
