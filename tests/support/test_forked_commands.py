"""A forked command is, from outside, the same as one that was started anew."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support import proc
from tests.support.forked_commands import ForkedCommand, run


@pytest.mark.parametrize("args", [["--version"], ["lint", "--json"], ["fleet"], ["no-such-command"], ["plan", "--at"]])
def test_its_output_and_exit_code_are_those_of_a_command_that_was_started_anew(args: list[str], tmp_path: Path) -> None:
    env = dict(os.environ) | {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "TORCHKEEPER_AGENT__STATE_DIR": "/none"}
    fresh = subprocess.run([*proc.command(), *args], env=env, capture_output=True, text=True, check=False)
    forked = run(args, env, proc.COMMAND)
    assert (forked.returncode, forked.stdout, forked.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


def test_it_leads_a_session_of_its_own_and_its_signal_is_its_exit_code(tmp_path: Path) -> None:
    env = dict(os.environ) | {"TORCHKEEPER_DOCKER__URL": f"unix://{tmp_path}/none.sock"}
    env |= {"TORCHKEEPER_AGENT__STATE_DIR": str(tmp_path / "state")}
    with tempfile.TemporaryFile() as log, Path(os.devnull).open("rb") as nothing:
        command = ForkedCommand(["run"], env, tmp_path, (nothing, log, log), session=True)
        proc.eventually(lambda: os.getsid(command.pid) == command.pid)
        assert command.poll() is None
        command.kill()
        assert command.wait(proc.PATIENCE) == command.poll() == -signal.SIGKILL


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    env = dict(os.environ) | {"TORCHKEEPER_DOCKER__URL": f"unix://{tmp_path}/none.sock"}
    env |= {"TORCHKEEPER_AGENT__STATE_DIR": str(tmp_path / "state")}
    with pytest.raises(subprocess.TimeoutExpired):
        run(["run"], env, 0.1)
