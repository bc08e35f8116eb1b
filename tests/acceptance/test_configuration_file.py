"""The configuration file: named in the log, and refused where it has a name and cannot be read."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.host import NAME, RealHost
from tests.support import engines, proc


@engines.ON_ONE
def test_the_log_names_the_file_that_was_read_or_says_that_there_is_none(lone_host: RealHost) -> None:
    lone_host.configure(agent={"log": "json"})
    with lone_host.agent():
        pass
    assert [line["config"] for line in starts(lone_host.log)] == [str(lone_host.config)]
    env = {
        "TORCHKEEPER_CONFIG": "",
        "TORCHKEEPER_AGENT__STATE_DIR": str(lone_host.state),
        "TORCHKEEPER_AGENT__LOG": "json",
    }
    env |= {"DOCKER_HOST": lone_host.engine.url, "TORCHKEEPER_AGENT__HOST": NAME}
    log = lone_host.folder / "none"
    log.mkdir()
    with proc.agent(folder=log, env=env, ready=lambda: starts(log / "run.log")):
        pass
    assert [line["config"] for line in starts(log / "run.log")] == ["built-in defaults"]


def starts(log: Path) -> list[dict[str, str]]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in map(json.loads, lines) if line.get("action") == "start"]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("ln -s gone /etc/torchkeeper/torchkeeper.toml", "is a dangling link to gone"),
        ("mkdir /etc/torchkeeper/torchkeeper.toml", "it is a folder; name the file in it"),
        (
            "rmdir /etc/torchkeeper && ln -s /mnt/late /etc/torchkeeper",
            "/etc/torchkeeper is a dangling link to /mnt/late",
        ),
        ("rmdir /etc/torchkeeper && touch /etc/torchkeeper", "a part of its path is not a folder"),
    ],
)
def test_the_default_file_is_refused_where_it_exists_as_a_name(prepare: str, message: str) -> None:
    done = with_own_etc(f"mkdir /etc/torchkeeper && {prepare}", "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("torchkeeper: /etc/torchkeeper/torchkeeper.toml: cannot be read: ")
    assert message in done.stderr


def with_own_etc(prepare: str, *args: str) -> subprocess.CompletedProcess[str]:
    """A command that sees an /etc of its own, for a test must not touch the machine's."""
    proc.require_root()
    unshare = proc.require_program("unshare", "util-linux")
    script = f'mount -t tmpfs tmpfs /etc || exit 77; {prepare} && exec "$@"'
    done = subprocess.run(
        [unshare, "--mount", "sh", "-c", script, "sh", *proc.command(), *args],
        env={k: v for k, v in os.environ.items() if not k.startswith("TORCHKEEPER_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=proc.COMMAND,
    )
    proc.require(done.returncode != 77, f"mounting a tmpfs needs CAP_SYS_ADMIN: {done.stderr}")
    return done
