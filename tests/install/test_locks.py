"""The lock files: what runs, builds, tests and releases, with hashes and one version of each package."""

import re
import tomllib

import pytest

from tests.support.proc import ROOT

NAMES = (
    "requirements.lock",
    "requirements-monitor.lock",
    "requirements-build.lock",
    "requirements-dev.lock",
    ".ci/freeze.lock",
    ".ci/release.lock",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(name: str) -> dict[str, str]:
    """Package -> version, in a lock file."""
    return dict(re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[a-z,]+\])?==([^ ;\\]+)", (ROOT / name).read_text()))


def names_of(requirements: list[str]) -> set[str]:
    found = (re.match(r"[a-zA-Z0-9._-]+", text) for text in requirements)
    return {match[0].lower() for match in found if match}


def test_a_package_has_the_same_version_in_all_of_them() -> None:
    versions: dict[str, set[str]] = {}
    for name in NAMES:
        for package, version in pins(name).items():
            versions.setdefault(package, set()).add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", NAMES)
def test_each_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert len(re.findall(r"(?m)^[a-z].*==.*\\\n    --hash=sha256:", text)) == len(pins(name)) > 0
    assert "://" not in text


def test_what_runs_is_apart_from_what_builds() -> None:
    build = names_of(PROJECT["build-system"]["requires"]) | names_of(PROJECT["dependency-groups"]["page"])
    assert build <= pins("requirements-build.lock").keys()
    assert not build & (pins("requirements.lock").keys() | pins("requirements-monitor.lock").keys())


def test_each_has_the_requirements_that_it_is_for() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    assert names_of(project["dependencies"]) <= pins("requirements.lock").keys()
    assert names_of(project["dependencies"] + extras) <= pins("requirements-monitor.lock").keys()
    assert names_of([text for text in groups["dev"] if isinstance(text, str)]) <= pins("requirements-dev.lock").keys()
    assert names_of(groups["freeze"]) <= pins(".ci/freeze.lock").keys()
    assert names_of(groups["release"]) <= pins(".ci/release.lock").keys()
