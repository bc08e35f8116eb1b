"""The files below config/, and the programs that check them."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import proc

ROOT = proc.ROOT
CONFIG = ROOT / "config"
for_real = pytest.mark.skipif(
    not os.environ.get("TEST_DEPLOYMENT"), reason="starts what it tests, some minutes: make test-deployment"
)


def run(*command: str | Path, timeout: float = proc.COMMAND, **options: Any) -> str:
    """What a program prints. Raises AssertionError, with all of its output, if it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=timeout, **options)
    assert done.returncode == 0, f"{command[0]}: {done.returncode}\n{done.stdout}{done.stderr}"
    return str(done.stdout)


def fetched(name: str) -> Path:
    """A program (or a file) that the set-up finds or downloads. Skips the test if that fails, in CI it fails."""
    done = subprocess.run([ROOT / ".ci/bootstrap", name], capture_output=True, text=True, check=False)
    proc.require(done.returncode == 0, f"no {name}: {done.stderr.strip()}")
    return Path(done.stdout.splitlines()[-1])


def yaml_of(path: Path) -> Any:
    """The content of a file with one YAML document."""
    return yaml.safe_load(path.read_text())


def yaml_documents(text: str) -> list[Any]:
    """All documents in a text."""
    return list(yaml.safe_load_all(text))
