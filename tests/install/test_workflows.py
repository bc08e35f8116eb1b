"""The workflows of CI and of a release: their schemas, their rights, and that the commands in them exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.proc import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("schema", "files"), [("github-workflows", WORKFLOWS), ("dependabot", [GITHUB / "dependabot.yml"])]
)
def test_they_have_the_form_that_github_reads(schema: str, files: list[Path]) -> None:
    assert files
    done = run(BIN / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_no_unpinned_action_and_no_right_that_is_too_wide() -> None:
    done = run(BIN / "zizmor", "--offline", "--no-progress", GITHUB)
    assert done.returncode == 0, done.stdout


def test_each_action_is_pinned_to_a_commit_with_its_version_beside_it() -> None:
    uses = [line for file in WORKFLOWS for line in file.read_text().splitlines() if re.search(r"\buses:", line)]
    assert uses
    assert [line for line in uses if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []


def test_an_action_has_one_version() -> None:
    text = "".join(file.read_text() for file in WORKFLOWS)
    pins: dict[str, set[str]] = {}
    for action, commit in re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40})", text):
        pins.setdefault(action, set()).add(commit)
    assert {action for action, commits in pins.items() if len(commits) > 1} == set()


def test_each_commit_is_tested_by_the_one_command_of_the_repository() -> None:
    jobs = yaml.safe_load((GITHUB / "workflows/ci.yml").read_text())["jobs"]
    commands = [step["run"] for step in jobs["test"]["steps"] if "run" in step]
    assert [command for command in commands if not command.startswith("apt-get ")] == [".ci/run"]


def test_what_is_released_was_tested() -> None:
    jobs = yaml.safe_load((GITHUB / "workflows/release.yml").read_text())["jobs"]
    before = {name: job.get("needs", []) for name, job in jobs.items()}
    assert before == {
        "test": [],
        "package": "test",
        "deb": "test",
        "images": "test",
        "publish": ["package", "deb", "images"],
        "pypi": "publish",
    }


def test_each_make_target_that_they_name_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    text = "".join(file.read_text() for file in WORKFLOWS)
    named = set(re.findall(r"(?m)(?:run: |\[|, )make ([a-z-]+)(?=[],]|$)", text))
    weekly = {"audit", "fuzz", "test-install", "test-deployment", "test-engines", "test-proxy"}
    assert named == {"dist", "deb", *weekly}
    assert named <= targets
