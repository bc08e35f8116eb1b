"""What a look into an image's own layers changes about its verdict.

Names and history are claims; `torch/version.py` in the layers is torch itself. Where it is there, it confirms and
gives the exact version. Where it is surely not, the image is `ambiguous`, which the default policy keeps. A look that
could not be finished changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.core import text
from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch.version_file import Torch

RULES = 1  # by which layers are read: one more makes every look be taken again
FAMILY = "layers"  # only torch itself is strong there
LONGEST_TEXT = 240  # characters; a path inside an image may have 4096
NOT_YET = Evidence(FAMILY, Strength.WEAK, "its layers have not been read yet; until then it is not surely PyTorch")


class Found(StrEnum):
    TORCH = "torch"
    NOTHING = "nothing"  # every layer was read to its end, and none shows a torch/version.py
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProbe:
    """What the layers of one image show. It never changes for an image ID, unless it is unknown."""

    found: Found
    path: str = ""  # of the version.py that counts, inside the image
    layer: int = 0  # which layer has it, counted from the base, which is 1
    torch_version: str | None = None  # None: not told, or two torches differ
    accelerator: str | None = None
    why: str = ""  # why it is unknown


NOTHING = LayerProbe(found=Found.NOTHING)


def unknown(why: str) -> LayerProbe:
    return LayerProbe(found=Found.UNKNOWN, why=why)


def found(seen: Mapping[str, tuple[int, Torch]]) -> LayerProbe:
    """The look at an image that shows these: path -> layer and content, the one that counts first."""
    path, (layer, _) = next(iter(seen.items()))
    versions, accelerators = {torch.version for _, torch in seen.values()}, {t.accelerator for _, t in seen.values()}
    return LayerProbe(
        found=Found.TORCH,
        path=text.writable(path),
        layer=layer,
        torch_version=versions.pop() if len(versions) == 1 else None,
        accelerator=accelerators.pop() if len(accelerators) == 1 else None,
    )


def wanted(verdict: Verdict, *, listed: bool = False) -> bool:
    """Whether the layers of an image are worth a look: nothing evicts any other image. `listed`: in images.known."""
    return (listed or verdict.kind is not Class.OTHER) and not verdict.failure


def settled(verdict: Verdict, look: LayerProbe | None, *, lifts: bool, listed: bool = False) -> Verdict:
    """The verdict after the look; None: it is still to come. `lifts`: a torch makes an ambiguous image PyTorch."""
    if not wanted(verdict, listed=listed):
        return verdict
    if look is None:
        return _doubted(verdict, NOT_YET)
    if look.found is Found.NOTHING:
        doubt = Evidence(FAMILY, Strength.WEAK, "no torch/version.py in its layers, whatever its names and history say")
        return replace(_doubted(verdict, doubt), torch_version=None)
    return _confirmed(verdict, look, lifts=lifts) if look.found is Found.TORCH else verdict


def _doubted(verdict: Verdict, doubt: Evidence) -> Verdict:
    kind = Class.OTHER if verdict.kind is Class.OTHER else Class.AMBIGUOUS
    return replace(verdict, kind=kind, evidence=(*verdict.evidence, doubt))


def _confirmed(verdict: Verdict, look: LayerProbe, *, lifts: bool) -> Verdict:
    return replace(
        verdict,
        kind=Class.PYTORCH if lifts and verdict.kind is Class.AMBIGUOUS else verdict.kind,
        evidence=(Evidence(FAMILY, Strength.STRONG, _words(look)), *verdict.evidence),
        torch_version=look.torch_version or verdict.torch_version,
        accelerator=_accelerator(verdict.accelerator, look.accelerator),
    )


def _accelerator(named: str | None, read: str | None) -> str | None:
    """torch's own word, but that a torch for the CPU may serve an accelerator that a plug-in brings: an NPU, Gaudi."""
    if read == "cpu" and named is not None and not named.startswith(("cuda", "rocm")):
        return named
    return read or named


def _words(look: LayerProbe) -> str:
    """The file and the layer, on one line; of a very long path the end is what tells most."""
    path = text.one_line(look.path)
    path = path if len(path) <= LONGEST_TEXT else "…" + path[1 - LONGEST_TEXT :]
    torch = f"torch {look.torch_version}" if look.torch_version else "one torch of several, which differ"
    return f"layer {look.layer}: {path} is of {torch}"
