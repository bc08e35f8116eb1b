"""CONTRIBUTING.md names what there is: folders, files, make targets, and words that the code uses."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PATH = re.compile(r"`((?:agent|tests|config|docs)/[\w./-]*|[\w.-]+\.(?:md|toml|lock))`")


def section(title: str) -> str:
    return CONTRIBUTING.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_column(table: str) -> list[str]:
    """What stands in backticks or in bold in the first column."""
    cells = re.findall(r"(?m)^\| ([^|]+) \|", table)
    return [name for cell in cells for name in re.findall(r"(?:`|\*\*)([^`*]+)(?:`|\*\*)", cell)]


def folders_below(top: str) -> set[str]:
    """Each folder that has a file of its own, as `agent/core/`, without the libraries that a build brings."""
    files = (file for file in (ROOT / top).rglob("*") if file.is_file() and file.suffix != ".pyc")
    files = (file for file in files if "vendor" not in file.parts)
    return {f"{file.parent.relative_to(ROOT)}/" for file in files} - {f"{top}/"}


STEPS = re.findall(r"(?m)^- (.*(?:\n  .*)*)", section("How to add"))


def test_each_path_that_it_names_exists() -> None:
    assert [path for path in PATH.findall(CONTRIBUTING) if not (ROOT / path).exists()] == []


def test_each_make_target_that_it_names_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", MAKEFILE))
    assert set(re.findall(r"`make ([a-z-]+)", CONTRIBUTING)) <= targets


def test_each_make_target_is_phony_and_in_the_help() -> None:
    targets = re.findall(r"(?m)^([a-z-]+):.*## ", MAKEFILE)
    phony = re.findall(r"(?m)^\.PHONY: (.*)$", MAKEFILE)[0].split()
    assert targets == re.findall(r"(?m)^([a-z-]+):", MAKEFILE) == phony


def test_its_map_lists_every_folder_of_the_package_and_no_other() -> None:
    listed = [name for name in first_column(section("The map")) if name.startswith("agent/")]
    assert sorted(listed) == sorted(folders_below("agent"))


def test_its_map_lists_every_folder_of_tests_that_the_package_does_not_have() -> None:
    listed = {name for name in first_column(section("The map")) if name.startswith("tests/")}
    top = {"/".join(name.split("/")[:2]) + "/" for name in folders_below("tests")}
    assert listed == {name for name in top if name.replace("tests", "agent", 1) not in folders_below("agent")}


@pytest.mark.parametrize("word", first_column(section("Glossary")))
def test_the_code_uses_each_word_of_its_glossary(word: str) -> None:
    texts = (file.read_text() for file in (ROOT / "agent").rglob("*.py"))
    assert any(re.search(rf"(?i)(?<![a-z]){word}(?![a-z])", text) for text in texts)


@pytest.mark.parametrize("step", STEPS)
def test_each_name_in_a_step_of_how_to_add_is_in_a_file_that_the_step_names(step: str) -> None:
    texts = [(ROOT / path).read_text() for path in PATH.findall(step) if (ROOT / path).is_file()]
    names = [name for name in re.findall(r"`([\w ]+)`", step) if not name.startswith("make ")]
    assert [name for name in names if not any(name in text for text in texts)] == []


def test_the_hooks_of_pre_commit_are_the_commands_of_make_lint() -> None:
    hooks = re.findall(r"(?m)^ +entry: (.*)$", (ROOT / ".pre-commit-config.yaml").read_text())
    lint = MAKEFILE.split("\nlint:")[1].split("\n\n")[0]
    assert hooks == [f".venv/bin/{command}" for command in re.findall(r"\$\(BIN\)/(.*)", lint)]
