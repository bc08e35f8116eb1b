"""Packages that need torch, so that installing one of them without `--no-deps` installs torch too."""

import re
import tomllib
from functools import cache
from importlib import resources

_SEPARATORS = re.compile(r"[-_.]+")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*+")


def needs_torch(name: str) -> bool:
    """Whether the package of this name, however it is written, depends on torch."""
    return _SEPARATORS.sub("-", name).lower() in _names()


def names_one(line: str) -> bool:
    """Whether a text has the name of such a package in it as a word."""
    return any(needs_torch(word) for word in _WORD.findall(line))


@cache
def _names() -> frozenset[str]:
    text = resources.files("agent.core.pytorch").joinpath("packages.toml").read_text(encoding="utf-8")
    return frozenset(tomllib.loads(text)["packages"])
