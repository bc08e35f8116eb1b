"""Each way to install that needs Python, carried out by the commands of docs/install.md, with this tree's own files."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import dockerd, proc
from tests.support.proc import ROOT

pytestmark = pytest.mark.timeout(1200)  # seconds, with a cold cache

DOCUMENT = (ROOT / "docs/install.md").read_text()
VERSION = re.findall(r'(?m)^version = "(.*)"$', (ROOT / "pyproject.toml").read_text())[0]
SHOWN = f"torchkeeper {VERSION}\n"


def block(section: str, first: str) -> str:
    """The commands of a section that begin with `first`."""
    text = re.split(rf"(?m)^##+ {re.escape(section)}$", DOCUMENT)[1].split("\n## ")[0]
    found = [body for body in re.findall(r"(?ms)^```sh\n(.*?)^```$", text) if body.startswith(first)]
    assert len(found) == 1, f"docs/install.md, {section}: {len(found)} blocks begin with {first!r}"
    return str(found[0])


class Folder:
    """An empty folder with what a user downloads, in which commands run as in a shell."""

    def __init__(self, path: Path, tools: Path, dist: Path) -> None:
        self.path = path
        for file in (next(dist.glob("*.whl")), dist / "requirements.lock"):
            shutil.copy(file, path / file.name)
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))}
        self.env = keep | {
            "PATH": f"{path / 'bin'}:{tools}:{os.environ['PATH']}",
            "UV_TOOL_DIR": str(path / "uv"),
            "UV_TOOL_BIN_DIR": str(path / "bin"),
            "PIPX_HOME": str(path / "pipx"),
            "PIPX_BIN_DIR": str(path / "bin"),
            "PIPX_MAN_DIR": str(path / "man"),
            "PIPX_DEFAULT_PYTHON": sys.executable,
            "UV_PYTHON": sys.executable,
        }

    def run(self, commands: str, **replaced: str) -> str:
        """Run commands after the replacements. Returns their standard output."""
        for old, new in replaced.items():
            commands = commands.replace(old, new)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.path,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def folder(tmp_path: Path, tools: Path, dist: Path) -> Folder:
    return Folder(tmp_path, tools, dist)


def test_pip_installs_it_into_an_empty_venv_with_checksums(folder: Folder) -> None:
    commands = block("pip, pipx or uv", "python3 -m venv").removesuffix("torchkeeper/bin/torchkeeper check\n")
    folder.run(commands.replace("python3 -m venv", f"{sys.executable} -m venv"))
    venv = folder.path / "torchkeeper"
    assert folder.run("torchkeeper/bin/torchkeeper --version") == SHOWN
    assert folder.run("torchkeeper/bin/python -P -m torchkeeper --version") == SHOWN
    assert folder.run("torchkeeper/bin/pip check") == "No broken requirements found.\n"
    assert (venv / "share/man/man1/torchkeeper.1").read_text() == (ROOT / "agent/cli/torchkeeper.1").read_text()


def test_the_installed_command_takes_its_own_package(folder: Folder) -> None:
    folder.run(block("pip, pipx or uv", "uv tool install").replace("torchkeeper", "./*.whl"))
    (folder.path / "agent.py").write_text("raise RuntimeError('another package')\n")
    assert folder.run("PYTHONPATH=. torchkeeper --version") == SHOWN


def test_pipx_installs_it_with_its_manual_page(folder: Folder) -> None:
    folder.run(block("pip, pipx or uv", "pipx install").replace("torchkeeper", "./*.whl"))
    assert folder.run("torchkeeper --version") == SHOWN
    assert (folder.path / "man/man1/torchkeeper.1").exists()
    folder.run("pipx uninstall torchkeeper")
    assert not (folder.path / "bin/torchkeeper").exists()


def test_uv_installs_it_as_a_tool_and_removes_it(folder: Folder) -> None:
    folder.run(block("pip, pipx or uv", "uv tool install").replace("torchkeeper", "./*.whl"))
    assert folder.run("torchkeeper --version") == SHOWN
    folder.run("uv tool uninstall torchkeeper")
    assert not (folder.path / "bin/torchkeeper").exists()


def test_the_venv_of_the_unit_is_made_by_uv_and_upgraded_and_rolled_back(folder: Folder) -> None:
    opt = folder.path / "opt"
    commands = block("systemd, with uv", "uv venv").replace("/opt/torchkeeper", str(opt))
    assert folder.run(commands.replace("--python 3.13", f"--python {sys.executable}")) == SHOWN
    for version in ("99.0", VERSION):
        other = with_version(next(folder.path.glob("*.whl")), version)
        folder.run(f"uv pip install --python {opt}/bin/python --no-deps {other}")
        assert folder.run(f"{opt}/bin/torchkeeper --version") == f"torchkeeper {version}\n"


def with_version(wheel: Path, version: str) -> Path:
    """The same wheel as another version."""
    folder = wheel.parent / f"unpacked-{version}"
    shutil.unpack_archive(wheel, folder, "zip")
    old, new = (folder / f"torchkeeper-{name}.dist-info" for name in (VERSION, version))
    old.rename(new)
    for name in ("METADATA", "RECORD"):
        text = (new / name).read_text().replace(f"\nVersion: {VERSION}\n", f"\nVersion: {version}\n")
        text = re.sub(r"(METADATA),sha256=.*", r"\1,,", text.replace(old.name, new.name))
        (new / name).write_text(text)
    target = wheel.parent / "other" / f"torchkeeper-{version}-py3-none-any.whl"
    target.parent.mkdir(exist_ok=True)
    return Path(shutil.make_archive(str(target), "zip", folder)).rename(target)


def test_a_backup_of_a_running_agent_has_its_history(folder: Folder, own_engine: dockerd.Dockerd) -> None:
    commands = block("Back up", "cd /var/lib/torchkeeper")
    statement = re.findall(r'sqlite3 state.db "(.*)"', commands)[0]
    state, backup = folder.path / "state", folder.path / "backup"
    backup.mkdir()
    config = proc.write_config(
        folder.path / "torchkeeper.toml",
        agent={"mode": "observe", "state_dir": str(state)},
        docker={"url": own_engine.url},
    )
    with proc.agent(folder=folder.path, config=config) as running:
        proc.eventually(lambda: "action=watch" in running.output())
        with sqlite3.connect(state / "state.db") as connection:
            connection.execute(statement.replace("/backup", str(backup)))
    copy = sqlite3.connect(backup / "state.db")
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert copy.execute("SELECT count(*) FROM engines").fetchall() == [(1,)]
    copy.close()


def test_after_a_migration_the_older_state_is_put_back(tmp_path: Path, own_engine: dockerd.Dockerd) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o750)
    with sqlite3.connect(state / "state.db") as connection:
        connection.executescript((ROOT / "tests/data/state-0001.sql").read_text())
    config = proc.write_config(
        tmp_path / "torchkeeper.toml",
        agent={"mode": "observe", "state_dir": str(state)},
        docker={"url": own_engine.url},
    )
    with proc.agent(folder=tmp_path, config=config) as running:
        proc.eventually(lambda: "action=watch" in running.output())
    assert schema(state / "state.db") > 1
    commands = [line for line in block("Roll back", "systemctl stop").splitlines() if not line.startswith("systemctl")]
    script = "\n".join(commands).replace("/var/lib/torchkeeper", str(state))
    subprocess.run(["bash", "-euc", re.sub(r"schema-\d+", "schema-1", script)], check=True)
    assert schema(state / "state.db") == 1


def schema(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()
