"""Packages that need torch, so that installing one of them without `--no-deps` installs torch too."""

import re
import tomllib
from functools import cache
from importlib import resources

_SEPARATORS = re.compile(r"[-_.]+")


def needs_torch(name: str) -> bool:
    """Whether the package of this name, however it is written, depends on torch."""
    return _SEPARATORS.sub("-", name).lower() in _names()


def names_one(line: str) -> bool:
    """Whether a text has the name of such a package in it as a word."""
    text = line.lower().replace("_", "-")
    return any(re.search(rf"(?<![\w./-]){name}(?![\w/-])", text) for name in _names() if name in text)


@cache
def _names() -> frozenset[str]:
    text = resources.files("agent.core.pytorch").joinpath("packages.toml").read_text(encoding="utf-8")
    return frozenset(tomllib.loads(text)["packages"])
