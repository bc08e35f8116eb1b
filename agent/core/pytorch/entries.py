"""The lists of names, variables, labels and programs that show PyTorch, each entry with its source.

They are data files in this package (`known/*.toml`), so that entries can be added without code. They are read once, and
every mistake is an error: a misspelled entry could make an image PyTorch wrongly, or hide that it is not PyTorch.
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

# A pattern that matches one of these names, or one of these tags, is too broad.
_NAMES = ("a", "library/postgres", "registry.corp:5000/team/app")
_TAGS = ("latest", "2.9", "v1_x-y")


class EntriesError(Exception):
    """A list cannot be used. The message names the list, the entry and the mistake."""


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
    """The fields that every entry has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+\.[a-z]+/\S*$")]  # a page that proves the entry


class Sign(Entry):
    """An entry that shows torch."""

    strength: Strength
    fact: Fact | None = None  # the cause of the sign, if another sign may have the same cause; the two count once


class Repository(Sign):
    """A repository whose images contain torch."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9._-]+)+$")]
    tags: TagGlob | None = None  # None: all tags


class Publisher(Sign):
    """Many repositories of one publisher whose images contain torch."""

    pattern: NamePattern  # matches the whole name


class Refutation(Entry):
    """Tags of a repository that do not contain torch, or may not contain it."""

    name: str
    tags: TagGlob


class Lookalike(Entry):
    """Names that contain "torch" although their images do not."""

    pattern: NamePattern  # matches the whole name


class Vendor(Entry):
    """A folder of a vendor, where nobody on a host chooses the names."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]*/$")]


class Variable(Sign):
    """An ENV variable that shows torch."""

    name: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    begins: Text | None = None
    has: Text | None = None
    input: bool = False  # it may also be an input of a build; it then shows the intended version, not an installed one


class Value(Sign):
    """Text in the value of any ENV variable that shows torch."""

    has: Annotated[str, Field(min_length=5)]


class Label(Sign):
    """A label that shows torch. `known/labels.toml` explains the fields."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]+\*?$")]
    value: Text | None = None
    begins: Text | None = None
    has: Text | None = None
    line: Text | None = None
    beside: Text | None = None


class Program(Sign):
    """A program in the entrypoint or command that needs torch: a word, or the beginning of a module's name."""

    word: Text | None = None
    module: Text | None = None

    @model_validator(mode="after")
    def _word_or_module(self) -> "Program":
        if (self.word is None) == (self.module is None):
            raise ValueError("needs either a word or a module")
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
    def _no_duplicates(self) -> "Lists":
        _refuse_duplicates("repositories", ((one.name, one.tags) for one in self.repositories))
        _refuse_duplicates("publishers", (one.pattern.pattern for one in self.publishers))
        _refuse_duplicates("exceptions", ((one.name, one.tags) for one in self.exceptions))
        _refuse_duplicates("variables", ((one.name, one.begins, one.has) for one in self.variables))
        _refuse_duplicates("labels", ((one.name, one.value, one.begins, one.has, one.line) for one in self.labels))
        _refuse_duplicates("programs", (one.word or one.module for one in self.programs))
        return self

    @model_validator(mode="after")
    def _exceptions_of_known_repositories(self) -> "Lists":
        names = {one.name for one in self.repositories}
        for one in self.exceptions:
            if one.name not in names:
                raise ValueError(f"exceptions: {one.name!r} is not among the repositories, so it has no effect")
        return self


def _refuse_duplicates(list_name: str, keys: Iterable[Hashable]) -> None:
    duplicates = [key for key, count in Counter(keys).items() if count > 1]
    if duplicates:
        raise ValueError(f"{list_name}: {duplicates[0]!r} is listed twice")


def read(texts: Mapping[str, str]) -> Lists:
    """Parse the files, given as file name -> text. Raises EntriesError."""
    merged: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            lists = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise EntriesError(f"{name}: is not valid TOML: {error}") from None
        if duplicates := merged.keys() & lists.keys():
            raise EntriesError(f"{name}: {min(duplicates)}: another file has this list, too")
        merged |= lists
    try:
        return Lists.model_validate(merged)
    except ValidationError as error:
        raise EntriesError("; ".join(_explain(item) for item in error.errors(include_url=False))) from None


def _explain(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def texts() -> dict[str, str]:
    """File name -> text of each data file in this package."""
    folder = resources.files("agent.core.pytorch") / "known"
    return {name: (folder / name).read_text(encoding="utf-8") for name in FILES}


LISTS = read(texts())
