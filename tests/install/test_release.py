"""The changelog as a release reads it, and the documents of installation and release."""

import re
import subprocess
import tomllib

import pytest
import yaml

from agent.adapters.sqlite import database
from tests.support.proc import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def notes(version: str) -> str:
    """What the workflow takes from the changelog."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    script = next(step["run"] for step in jobs["publish"]["steps"] if "awk" in step.get("run", ""))
    command = script.split(" >notes.md")[0]
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "GITHUB_REF_NAME": f"v{version}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_notes_of_a_release_are_its_part_of_the_changelog() -> None:
    part = CHANGELOG.split(f"## {PROJECT['version']}")[1].split("\n", 1)[1].split("\n## ")[0]
    assert notes(PROJECT["version"]).strip() == part.strip()
    assert notes("0.0.0") == ""


def test_each_version_has_upgrade_notes() -> None:
    parts = re.split(r"(?m)^## \d", CHANGELOG)[1:]
    assert parts
    assert all("\n### Upgrade notes\n" in part for part in parts)


@pytest.mark.parametrize("name", ["install.md", "release.md"])
def test_each_make_target_that_they_name_exists(name: str) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", MAKEFILE))
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / "docs" / name).read_text()))
    assert named
    assert named <= targets


def test_the_files_of_the_state_have_the_names_in_the_document() -> None:
    text = (ROOT / "docs/install.md").read_text()
    assert f"{database.FILE}.schema-N" in text
    assert f'sqlite3 {database.FILE} "VACUUM INTO' in text


def test_they_show_the_present_version() -> None:
    text = (ROOT / "docs/install.md").read_text()
    assert set(re.findall(r"torchkeeper[-_:](\d+\.\d+\.\d+)", text)) == {PROJECT["version"]}
