"""What `make dist` makes for a release."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.install.test_locks import pins


@pytest.mark.parametrize("name", ["", "-monitor"])
def test_the_bill_of_materials_names_what_runs_with_its_checksums(dist: Path, name: str) -> None:
    components = json.loads((dist / f"torchkeeper{name}.cdx.json").read_text())["components"]
    found = {row["name"]: row["version"] for row in components}
    assert found == pins(f"requirements{name}.lock")
    assert all(row["externalReferences"][0]["hashes"] for row in components)


def test_the_source_has_what_a_build_needs(dist: Path) -> None:
    source = next(dist.glob("*.tar.gz"))
    with tarfile.open(source) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"pyproject.toml", "agent/launcher.py", "agent/cli/torchkeeper.1", "config/torchkeeper.toml"} <= names


def test_the_locked_requirements_are_beside_the_wheel(dist: Path) -> None:
    assert (dist / "requirements.lock").exists()
    assert (dist / "requirements-monitor.lock").exists()
