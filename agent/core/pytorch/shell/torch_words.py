"""Recognise torch, and packages that need torch, in the arguments of an installation."""

import re

from agent.core.images import tags
from agent.core.pytorch.shell import packages
from agent.core.pytorch.shell.installers import PIP
from agent.core.pytorch.shell.unknown import is_known

_PYPI_TOOLS = frozenset({"uv", "poetry", "pdm", "pipenv", "pipx"})  # these install packages from PyPI, as pip does
TORCH = re.compile(
    r"(?:[\w.-]{1,60}::)?(?:python3-torch(?:-cuda)?|(?:py)?torch(?:-[cg]pu)?)"
    r"(?:\[[\w,.-]{0,80}\])?(?![\w.*/:\[-])",
    re.IGNORECASE,
)
_WHEEL = re.compile(r"torch-([0-9][\w.]{0,40}).{0,200}\.whl", re.DOTALL)
_COMPANION = re.compile(r"(?:[\w.-]{1,60}::)?(?:torchvision|torchaudio|pytorch-cuda)(?![\w.*/-])")
_PIN = re.compile(r"={1,3}(.{1,60})")
_LOCAL = re.compile(r"(?:\+|%2B)([a-z0-9.]{1,20})")
_HERE = re.compile(r"""[^;]*;\s*(?:sys_platform\s*==\s*["']linux|platform_system\s*==\s*["']Linux)["']\s*""")
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]{0,80}")


def read(word: str, name: str) -> tuple[str, str, str | None, bool] | None:
    """The text to show, the pinned version, the accelerator, and whether it certainly is torch.

    None if the argument is another package. `name` is the last path component of `word`.
    """
    if match := _WHEEL.match(name):
        local = _LOCAL.search(name)
        return name, match[1], tags.accelerator(local[1]) if local else None, is_known(name)
    if not (match := TORCH.match(word)):
        return None
    rest = word[match.end() :]
    pin = _PIN.match(word, match.end())
    local = _LOCAL.search(rest) if pin else None
    # The text after `@` is an address, which may contain a password. A marker (`;`) may exclude the package.
    is_clear = (not rest or rest[0] in "=<>!~@ (,;") and (";" not in rest or _HERE.fullmatch(rest) is not None)
    text = word.partition("@")[0]
    return text, pin[1] if pin else "", tags.accelerator(local[1]) if local else None, is_clear


def needs_torch(tool: str, word: str, name: str) -> bool:
    """Whether the argument is a package that depends on torch."""
    if _COMPANION.match(word) or "torch" in word.partition("[")[2]:
        return True
    if tool not in _PYPI_TOOLS and not PIP.fullmatch(tool):
        return False
    match = _PACKAGE.match(name)
    return match is not None and packages.needs_torch(match[0])
