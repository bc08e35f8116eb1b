"""What `torch/version.py` says of the torch beside it. The file is read as text and never executed.

torch's own build writes it: a version, and for each accelerator the version it was built for, or None. Releases up to
2.0 write `cuda = '11.7'`, later ones `cuda: Optional[str] = '12.4'`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.pytorch.versions import plain_version

MOST_BYTES = 4096  # the file has some 250

_ASSIGNED = re.compile(
    r"^(__version__|git_version|cuda|hip|xpu)[ \t]*(?::[^=\n]{0,60})?="
    r"[ \t]*(?:'([^'\n]{0,200})'|\"([^\"\n]{0,200})\"|None)",
    re.MULTILINE,
)
_MAJOR_MINOR = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})(?![0-9])")
_LOCAL_CUDA = re.compile(r"cu(1[0-9]|[1-9])([0-9])[0-9]?(?![0-9])")  # cu124, cu92, cu1281
_LOCAL_ROCM = re.compile(r"rocm([0-9]{1,2}\.[0-9]{1,2})")


@dataclass(frozen=True, slots=True)
class Torch:
    """One torch, by its own file."""

    version: str  # without the local part: "2.5.1"
    accelerator: str | None = None  # "cuda12.4", "rocm6.1", "xpu", "cpu"; None: not told
    generated: bool = False  # the file has what torch's build writes, and not only a version


@dataclass(frozen=True, slots=True)
class LookedInside:
    """What a look found at the guessed paths, of which there were so many."""

    tried: int
    found: Mapping[str, Torch]


def parse(text: str) -> Torch | None:
    """What the file says; None where it names no version."""
    said = {match[1]: match[2] or match[3] or "" for match in _ASSIGNED.finditer(text)}
    written = said.get("__version__", "")
    version = plain_version(written)
    if version is None:
        return None
    return Torch(version, _accelerator(said, written.partition("+")[2]), {"git_version", "cuda"} <= said.keys())


def _accelerator(said: dict[str, str], local: str) -> str | None:
    """By the versions that it was built for, else by the local part of its own. Two at once say nothing."""
    cuda, hip, xpu = (said.get(name, "") for name in ("cuda", "hip", "xpu"))
    if sum(map(bool, (cuda, hip, xpu))) > 1:
        return None
    if cuda or hip:
        return _numbered("cuda" if cuda else "rocm", cuda or hip)
    if xpu or local.startswith("xpu"):
        return "xpu"
    return _by_local(local, told={"cuda", "hip"} <= said.keys())


def _numbered(name: str, version: str) -> str | None:
    match = _MAJOR_MINOR.match(version)
    return f"{name}{match[1]}.{match[2]}" if match else None


def _by_local(local: str, *, told: bool) -> str | None:
    """`told`: the file says of each accelerator that it is not for it. A vendor's own build may be for another one."""
    if match := _LOCAL_CUDA.match(local):
        return f"cuda{match[1]}.{match[2]}"
    if match := _LOCAL_ROCM.match(local):
        return f"rocm{match[1]}"
    return "cpu" if local.startswith("cpu") or (told and not local) else None
