"""Read the version and accelerator of a torch from its `torch/version.py`. The file is read as text, never executed.

torch's build writes the file. It contains torch's version, and for each accelerator the version that torch was built
for, or None. Releases up to 2.0 write `cuda = '11.7'`, later ones `cuda: Optional[str] = '12.4'`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.images.versions import plain_version

MOST_BYTES = 4096  # the file has about 250 bytes

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
    """A torch, as its own file describes it."""

    version: str  # without the local part: "2.5.1"
    accelerator: str | None = None  # "cuda12.4", "rocm6.1", "xpu", "cpu"; None: unknown
    generated: bool = False  # the file contains all that torch's build writes, not only a version


@dataclass(frozen=True, slots=True)
class LookedInside:
    """What a look found at the guessed paths, of which there were so many."""

    tried: int
    found: Mapping[str, Torch]


def parse(text: str) -> Torch | None:
    """Parse the text of the file; None if it contains no version."""
    values = {match[1]: match[2] or match[3] or "" for match in _ASSIGNED.finditer(text)}
    written = values.get("__version__", "")
    version = plain_version(written)
    if version is None:
        return None
    return Torch(version, _accelerator(values, written.partition("+")[2]), {"git_version", "cuda"} <= values.keys())


def _accelerator(values: dict[str, str], local: str) -> str | None:
    """The accelerator that torch was built for, else the one in the local part of its version.

    None if it is unknown, or if the file names several.
    """
    cuda, hip, xpu = (values.get(name, "") for name in ("cuda", "hip", "xpu"))
    if sum(map(bool, (cuda, hip, xpu))) > 1:
        return None
    if cuda or hip:
        return _numbered("cuda" if cuda else "rocm", cuda or hip)
    if xpu or local.startswith("xpu"):
        return "xpu"
    return _from_local_part(local, names_none={"cuda", "hip"} <= values.keys())


def _numbered(name: str, version: str) -> str | None:
    match = _MAJOR_MINOR.match(version)
    return f"{name}{match[1]}.{match[2]}" if match else None


def _from_local_part(local: str, *, names_none: bool) -> str | None:
    """The accelerator in the local part of torch's version.

    `names_none`: the file says for each accelerator that torch was not built for it. Then a version without a local
    part means a build for CPUs. With another local part, a vendor may have built it for another accelerator.
    """
    if match := _LOCAL_CUDA.match(local):
        return f"cuda{match[1]}.{match[2]}"
    if match := _LOCAL_ROCM.match(local):
        return f"rocm{match[1]}"
    return "cpu" if local.startswith("cpu") or (names_none and not local) else None
