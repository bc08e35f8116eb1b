"""The effect of a layer probe on an image's verdict. A probe looks for `torch/version.py` in the image's own layers.

Names and history can be wrong, but `torch/version.py` is part of torch itself. If the file is there, it confirms the
verdict and gives the exact version. If it is certainly not there, the image is `ambiguous`, and the default policy
keeps it. An unfinished probe changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.core import text
from agent.core.model import Class, Evidence, Strength, Verdict
from agent.core.pytorch.version_file import Torch

RULES = 1  # the version of the rules for reading layers; increase it to repeat every stored probe
KIND = "layers"  # the kind of its evidence, which is strong only if torch was found
LONGEST_TEXT = 240  # characters; a path inside an image may have 4096
NOT_YET = Evidence(KIND, Strength.WEAK, "its layers have not been read yet; until then it may not be PyTorch")


class ProbeResult(StrEnum):
    """Whether torch was found. The values are stored."""

    TORCH = "torch"
    NOTHING = "nothing"  # every layer was read completely, and none contains torch/version.py
    UNKNOWN = "unknown"  # the layers could not be read completely


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProbe:
    """The result of reading one image's layers. It never changes for an image ID, unless it is `UNKNOWN`."""

    result: ProbeResult
    path: str = ""  # the path of the version.py that is used, inside the image
    layer: int = 0  # the layer that contains it; the base is 1
    torch_version: str | None = None  # None: the file does not name it, or two torches differ
    accelerator: str | None = None
    why: str = ""  # why the result is UNKNOWN


NOTHING = LayerProbe(result=ProbeResult.NOTHING)


def unknown(why: str) -> LayerProbe:
    """A probe that could not be finished, with the reason."""
    return LayerProbe(result=ProbeResult.UNKNOWN, why=why)


def found(torches: Mapping[str, tuple[int, Torch]]) -> LayerProbe:
    """The probe of an image with these torches: path -> layer and contents. The first path is the one to show."""
    path, (layer, _) = next(iter(torches.items()))
    versions = {torch.version for _, torch in torches.values()}
    accelerators = {torch.accelerator for _, torch in torches.values()}
    return LayerProbe(
        result=ProbeResult.TORCH,
        path=text.writable(path),
        layer=layer,
        torch_version=versions.pop() if len(versions) == 1 else None,
        accelerator=accelerators.pop() if len(accelerators) == 1 else None,
    )


def is_needed(verdict: Verdict, *, listed: bool = False) -> bool:
    """Whether an image's layers must be probed. An image of class `other` is never evicted, so it needs no probe.

    `listed`: images.known lists the image.
    """
    return (listed or verdict.kind is not Class.OTHER) and not verdict.failure


def apply(verdict: Verdict, probe: LayerProbe | None, *, lifts: bool, listed: bool = False) -> Verdict:
    """The verdict after the probe. None: the image has not been probed yet.

    `lifts`: a torch in the layers makes an ambiguous image PyTorch. `listed`: images.known lists the image.
    """
    if not is_needed(verdict, listed=listed):
        return verdict
    if probe is None:
        return _doubted(verdict, NOT_YET)
    if probe.result is ProbeResult.NOTHING:
        doubt = Evidence(KIND, Strength.WEAK, "no torch/version.py in its layers, whatever its names and history show")
        return replace(_doubted(verdict, doubt), torch_version=None)
    return _confirmed(verdict, probe, lifts=lifts) if probe.result is ProbeResult.TORCH else verdict


def _doubted(verdict: Verdict, doubt: Evidence) -> Verdict:
    kind = Class.OTHER if verdict.kind is Class.OTHER else Class.AMBIGUOUS
    return replace(verdict, kind=kind, evidence=(*verdict.evidence, doubt))


def _confirmed(verdict: Verdict, probe: LayerProbe, *, lifts: bool) -> Verdict:
    return replace(
        verdict,
        kind=Class.PYTORCH if lifts and verdict.kind is Class.AMBIGUOUS else verdict.kind,
        evidence=(Evidence(KIND, Strength.STRONG, _describe(probe)), *verdict.evidence),
        torch_version=probe.torch_version or verdict.torch_version,
        accelerator=_accelerator(verdict.accelerator, probe.accelerator),
    )


def _accelerator(judged: str | None, probed: str | None) -> str | None:
    """The accelerator in torch's own file, if it has one.

    A plug-in may add an accelerator (an NPU, Gaudi) to a torch for CPUs; then the verdict's accelerator stays.
    """
    if probed == "cpu" and judged is not None and not judged.startswith(("cuda", "rocm")):
        return judged
    return probed or judged


def _describe(probe: LayerProbe) -> str:
    """The file and the layer, on one line. A very long path is shortened at its beginning."""
    path = text.one_line(probe.path)
    path = path if len(path) <= LONGEST_TEXT else "…" + path[1 - LONGEST_TEXT :]
    torch = f"torch {probe.torch_version}" if probe.torch_version else "one of several torches with different versions"
    return f"layer {probe.layer}: {path} is of {torch}"
