"""The lists that recognition rests on: names, variables, labels and programs, each entry with its source.

They are data files in this package (`known/*.toml`), so that they can grow without code. They are read once, and
strictly: what is misspelled here would make an image PyTorch, or hide that it is none.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from importlib import resources
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.core import globs
from agent.core.model import Strength

FILES = ("names.toml", "variables.toml", "labels.toml", "programs.toml")

# Nobody means all of these at once: what matches them matches everything.
_NAMES = ("a", "library/postgres", "registry.corp:5000/team/app")
_TAGS = ("latest", "2.9", "v1_x-y")


class EntriesError(Exception):
    """A list cannot be used; the message names the list, the entry and what is wrong."""


def _not_every_name(pattern: re.Pattern[str]) -> re.Pattern[str]:
    if any(pattern.fullmatch(name) for name in _NAMES):
        raise ValueError(f"{pattern.pattern!r} matches names that have nothing to do with torch")
    return pattern


def _not_every_tag(glob: str) -> str:
    if any(globs.glob(glob, tag) for tag in _TAGS):
        raise ValueError(f"{glob!r} matches every tag")
    return glob


NamePattern = Annotated[re.Pattern[str], AfterValidator(_not_every_name)]
TagGlob = Annotated[str, Field(min_length=2), AfterValidator(_not_every_tag)]
Text = Annotated[str, Field(min_length=2)]
Fact = Annotated[str, Field(pattern=r"^[a-z][a-z-]{1,30}$")]


class Entry(BaseModel):
    """What every entry has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+\.[a-z]+/\S*$")]  # where it can be read


class Sign(Entry):
    """What speaks for torch."""

    strength: Strength
    fact: Fact | None = None  # what it rests on, where another sign may rest on the same


class Repository(Sign):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9._-]+)+$")]
    tags: TagGlob | None = None  # None: all of them


class Publisher(Sign):
    pattern: NamePattern  # for whole names


class Refutation(Entry):
    """Tags of a repository that have no torch, or may have none."""

    name: str
    tags: TagGlob


class Lookalike(Entry):
    pattern: NamePattern  # for whole names


class Vendor(Entry):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]*/$")]


class Variable(Sign):
    name: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    begins: Text | None = None
    has: Text | None = None
    input: bool = False  # a build may be given it, too: then it says what is meant to be installed


class Value(Sign):
    has: Annotated[str, Field(min_length=5)]


class Label(Sign):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]+\*?$")]
    value: Text | None = None
    begins: Text | None = None
    has: Text | None = None
    line: Text | None = None
    beside: Text | None = None


class Program(Sign):
    word: Text | None = None
    module: Text | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Program":
        if (self.word is None) == (self.module is None):
            raise ValueError("needs a word or a module, and not both")
        return self


class Lists(BaseModel):
    """All entries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repositories: tuple[Repository, ...]
    publishers: tuple[Publisher, ...]
    exceptions: tuple[Refutation, ...]
    lookalikes: tuple[Lookalike, ...]
    vendors: tuple[Vendor, ...]
    variables: tuple[Variable, ...]
    values: tuple[Value, ...]
    labels: tuple[Label, ...]
    programs: tuple[Program, ...]

    @model_validator(mode="after")
    def _each_once(self) -> "Lists":
        _refuse_twice("repositories", ((one.name, one.tags) for one in self.repositories))
        _refuse_twice("publishers", (one.pattern.pattern for one in self.publishers))
        _refuse_twice("exceptions", ((one.name, one.tags) for one in self.exceptions))
        _refuse_twice("variables", ((one.name, one.begins, one.has) for one in self.variables))
        _refuse_twice("labels", ((one.name, one.value, one.begins, one.has, one.line) for one in self.labels))
        _refuse_twice("programs", (one.word or one.module for one in self.programs))
        return self

    @model_validator(mode="after")
    def _exceptions_of_known_repositories(self) -> "Lists":
        names = {one.name for one in self.repositories}
        for one in self.exceptions:
            if one.name not in names:
                raise ValueError(f"exceptions: {one.name!r} is not among the repositories, so it excepts nothing")
        return self


def _refuse_twice(what: str, keys: Iterable[Hashable]) -> None:
    twice = [key for key, count in Counter(keys).items() if count > 1]
    if twice:
        raise ValueError(f"{what}: {twice[0]!r} is there twice")


def read(texts: Mapping[str, str]) -> Lists:
    """The lists, from file name -> text. Raises EntriesError."""
    found: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            lists = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise EntriesError(f"{name}: is not valid TOML: {error}") from None
        if twice := found.keys() & lists.keys():
            raise EntriesError(f"{name}: {min(twice)}: another file has this list, too")
        found |= lists
    try:
        return Lists.model_validate(found)
    except ValidationError as error:
        raise EntriesError("; ".join(_explain(item) for item in error.errors(include_url=False))) from None


def _explain(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def texts() -> dict[str, str]:
    """File name -> text, as this package carries them."""
    folder = resources.files("agent.core.pytorch") / "known"
    return {name: (folder / name).read_text(encoding="utf-8") for name in FILES}


LISTS = read(texts())
