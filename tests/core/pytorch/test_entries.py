"""The lists in agent/core/pytorch/known: each entry is well formed, and a wrong one is refused with its place."""

from collections.abc import Mapping

import pytest

from agent.core.pytorch import entries
from agent.core.pytorch.entries import LISTS, EntriesError
from tests.core import catalogue

TEXTS = entries.texts()
EVERY = [
    entry
    for found in (
        *(LISTS.repositories, LISTS.publishers, LISTS.exceptions, LISTS.lookalikes, LISTS.vendors),
        *(LISTS.variables, LISTS.values, LISTS.labels, LISTS.programs),
    )
    for entry in found
]
PLAIN = [reference for build in catalogue.OTHER for reference in build().references]


def changed(name: str, old: str, new: str) -> Mapping[str, str]:
    assert TEXTS[name].count(old) >= 1
    return {**TEXTS, name: TEXTS[name].replace(old, new, 1)}


def test_the_package_contains_entries_of_every_kind() -> None:
    assert {type(entry).__name__ for entry in EVERY} == {
        *("Repository", "Publisher", "Refutation", "Lookalike", "Vendor", "Variable", "Value", "Label", "Program"),
    }


@pytest.mark.parametrize("entry", EVERY, ids=lambda entry: str(entry)[:60])
def test_an_entry_names_its_source(entry: entries.Entry) -> None:
    assert entry.source.startswith("https://")


@pytest.mark.parametrize("name", TEXTS)
def test_an_entry_is_written_on_one_line(name: str) -> None:
    lines = [line.strip() for line in TEXTS[name].splitlines()]
    assert all(line.startswith(("#", "{")) or line == "]" or line.endswith("= [") for line in lines if line)
    assert all(line.endswith("},") for line in lines if line.startswith("{"))


@pytest.mark.parametrize("entry", LISTS.publishers, ids=lambda entry: entry.pattern.pattern[:40])
def test_no_pattern_for_publishers_matches_a_plain_image(entry: entries.Publisher) -> None:
    assert [name for name in PLAIN if entry.pattern.fullmatch(name.rpartition(":")[0])] == []


def test_no_program_is_strong() -> None:
    assert {entry.strength for entry in LISTS.programs} == {"medium"}


FIRST = 'name = "pytorch/pytorch", strength = "strong"'
ROW = next(line for line in TEXTS["names.toml"].splitlines() if FIRST in line)
BAD = [
    (
        "no source",
        "names.toml",
        ROW,
        '{ name = "a/pytorch", strength = "strong" },',
        "repositories.0.source: Field req",
    ),
    (
        "a source that is no address",
        "names.toml",
        "https://github.com/pytorch/pytorch/",
        "see ",
        "repositories.0.source",
    ),
    ("an unknown key", "names.toml", 'name = "pytorch/pytorch",', 'nmae = "a/b",', "repositories.0.nmae: Extra inputs"),
    (
        "an unknown strength",
        "names.toml",
        FIRST,
        FIRST.replace("strong", "certain"),
        "repositories.0.strength: Input should be 'strong'",
    ),
    (
        "a name in capitals",
        "names.toml",
        FIRST,
        FIRST.replace("py", "Py"),
        "repositories.0.name: String should",
    ),
    (
        "a name without a folder",
        "names.toml",
        FIRST,
        FIRST.replace("/pytorch", ""),
        "repositories.0.name: String should",
    ),
    (
        "a name that is there twice",
        "names.toml",
        ROW,
        ROW + ROW,
        "repositories: ('pytorch/pytorch', None) is listed twice",
    ),
    ("a pattern that is none", "names.toml", "'gcr", "'(gcr", "publishers.3.pattern: Input should be a valid regular"),
    (
        "a pattern for every name",
        "names.toml",
        "'(?:.*/)?pytorch-operator'",
        "'.*'",
        "lookalikes.0.pattern: '.*' matches",
    ),
    ("an exception for every tag", "names.toml", '"*-base*"', '"*?"', "exceptions.0.tags: '*?' matches every tag"),
    (
        "an exception of nothing",
        "names.toml",
        'exceptions = [\n    { name = "rocm/pytorch"',
        'exceptions = [\n    { name = "rocm/torch"',
        "exceptions: 'rocm/torch' is not among the repositories",
    ),
    ("a fact in capitals", "names.toml", 'fact = "rocm"', 'fact = "ROCm"', "repositories.5.fact: String should match"),
    ("a variable in small letters", "variables.toml", '"PYTORCH_HOME"', '"home"', "variables.4.name: String should"),
    ("a label of every name", "labels.toml", '"com.nvidia.pytorch.version"', '"*"', "labels.0.name: String should"),
    (
        "a program of two kinds",
        "programs.toml",
        'word = "vllm",',
        'word = "a-b", module = "c.d",',
        "programs.0: needs either",
    ),
    ("a list that is misspelled", "programs.toml", "programs = [", "progams = [", "programs: Field required"),
    (
        "a list that is elsewhere",
        "programs.toml",
        "programs = [",
        "labels = [",
        "programs.toml: labels: another file has",
    ),
    ("no TOML", "labels.toml", "labels = [", "labels [", "labels.toml: is not valid TOML"),
]


@pytest.mark.parametrize(("what", "name", "old", "new", "message"), BAD, ids=[case[0] for case in BAD])
def test_a_bad_entry_is_refused_with_its_place(what: str, name: str, old: str, new: str, message: str) -> None:
    with pytest.raises(EntriesError) as refused:
        entries.read(changed(name, old, new))
    assert message in str(refused.value)
