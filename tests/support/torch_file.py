"""`torch/version.py` as torch's own build writes it, for images that stand for PyTorch images."""

import re

PLACE = "usr/local/lib/python3.11/site-packages/torch/version.py"
DEFAULT = "2.4.0"


def text(version: str = DEFAULT, *, cuda: str | None = None, hip: str | None = None, annotated: bool = True) -> str:
    """The file of a torch of a version, built for an accelerator, or for nothing that the file tells."""
    kind = ": Optional[str]" if annotated else ""
    first = "from typing import Optional\n\n" if annotated else ""
    return (
        f"{first}__all__ = ['__version__', 'debug', 'cuda', 'git_version', 'hip']\n"
        f"__version__ = {version!r}\ndebug = False\ncuda{kind} = {cuda!r}\n"
        f"git_version = 'a8d6afb511a69687bbb2b7e88a3cf67917e1697e'\nhip{kind} = {hip!r}\n"
    )


def of(ref: str, version: str | None) -> bytes:
    """The file for an image: of the version that it says, else of the one in its tag. Its local part hides the rest."""
    named = re.search(r"[0-9]+\.[0-9]+(\.[0-9]+)?", ref.rpartition(":")[2])
    said = version or (named[0] if named else DEFAULT)
    return text(said if "+" in said else f"{said}+git0a1b2c3").encode()
