"""`torch/version.py` in the form that torch's own build writes, for images that count as PyTorch."""

import re

PLACE = "usr/local/lib/python3.11/site-packages/torch/version.py"
DEFAULT = "2.4.0"


def text(version: str = DEFAULT, *, cuda: str | None = None, hip: str | None = None, annotated: bool = True) -> str:
    """The file for a version of torch, built for CUDA, for ROCm, or with neither of them in the file."""
    kind = ": Optional[str]" if annotated else ""
    first = "from typing import Optional\n\n" if annotated else ""
    return (
        f"{first}__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip']\n"
        f"__version__ = {version!r}\ndebug = False\ncuda{kind} = {cuda!r}\n"
        f"git_version = 'a8d6afb511a69687bbb2b7e88a3cf67917e1697e'\nhip{kind} = {hip!r}\n"
    )


def of(ref: str, version: str | None) -> bytes:
    """The file for an image: with the given version, else with the one in its tag and a local part of a build."""
    match = re.search(r"[0-9]+\.[0-9]+(\.[0-9]+)?", ref.rpartition(":")[2])
    number = version or (match[0] if match else DEFAULT)
    return text(number if "+" in number else f"{number}+git0a1b2c3").encode()
