"""Packages that depend on torch: installing one of them without `--no-deps` installs torch, too."""

import re
import tomllib
from functools import cache
from importlib import resources

_SEPARATORS = re.compile(r"[-_.]+")


def needs_torch(name: str) -> bool:
    """Whether the package depends on torch. The name may be in any form that pip accepts."""
    return _SEPARATORS.sub("-", name).lower() in _names()


def names_one(line: str) -> bool:
    """Whether a text contains the name of such a package as a word."""
    text = line.lower().replace("_", "-")
    return any(re.search(rf"(?<![\w./-]){name}(?![\w/-])", text) for name in _names() if name in text)


@cache
def _names() -> frozenset[str]:
    text = resources.files("agent.core.pytorch.shell").joinpath("packages.toml").read_text(encoding="utf-8")
    return frozenset(tomllib.loads(text)["packages"])
