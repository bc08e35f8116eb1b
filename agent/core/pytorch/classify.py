"""Is it a PyTorch image, and on what evidence."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.core import model
from agent.core.images import isolation, tags
from agent.core.pytorch import bounds, build_history, cuda_argument, evidence, repositories, signs
from agent.core.pytorch.versions import plain_version

_MAJOR_MINOR = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,2})?(?![0-9])")
_ROCM_FOLDER = re.compile(r"/rocm-([0-9]{1,2}\.[0-9]{1,2})")
_TORCH_VERSIONED = frozenset({"pytorch", "pytorch-nightly", "pytorch-training", "pytorch-inference"})
_LYING_TAGS = "mcr.microsoft.com/azureml/"  # Azure ML's tags, and even names, contradict what is inside


@dataclass(frozen=True, slots=True)
class Examined:
    """What an image says of itself, whatever it is called: the same for as long as its ID is the same."""

    findings: evidence.Findings
    torch_version: str | None = None  # by its ENV or labels
    accelerator: str | None = None  # by its ENV
    argued_accelerator: str | None = None  # by a build argument
    failure: str = ""  # why it could not be examined


def classify(images: Iterable[model.Image]) -> dict[str, model.Verdict]:
    """Image ID -> verdict, with every image examined anew."""
    images = tuple(images)
    return verdicts(images, {image.id: examine(image) for image in images})


def examine(image: model.Image) -> Examined:
    """Read what an image says of itself, which is the slow part of a verdict. Never raises."""
    found, failed = isolation.each([image], _examine)
    return found.get(image.id) or Examined(evidence.NOTHING, failure=failed[image.id])


def verdicts(images: Iterable[model.Image], examined: Mapping[str, Examined]) -> dict[str, model.Verdict]:
    """Image ID -> verdict. An image without details is absent: it is unknown, and its caller keeps it.

    `pytorch` takes one strong sign, or two medium ones of different families that rest on different facts; any
    other evidence makes it `ambiguous`, none at all `other`. The verdict on an image that cannot be judged says why
    (`failure`).
    """
    known = {image.id: image for image in images if image.details is not None}
    named, failures = isolation.each(known.values(), lambda image: tuple(repositories.of_names(image)))
    failures |= {id_: examined[id_].failure for id_ in known if examined[id_].failure}
    signs = {id_: named[id_] + examined[id_].findings.evidence for id_ in known if id_ not in failures}
    lineage = _lineage(known, signs, examined)

    def judge(image: model.Image) -> model.Verdict:
        return _verdict(image, examined[image.id], signs[image.id] + lineage.get(image.id, ()))

    found, failed = isolation.each((known[id_] for id_ in signs), judge)
    unknown = {id_: model.Verdict(kind=model.Class.OTHER, failure=why) for id_, why in (failures | failed).items()}
    return found | unknown


def _examine(image: model.Image) -> Examined:
    details = bounds.bounded(image.details or model.Details())
    version = _env_torch_version(details.env) or evidence.frozen_version(details.labels)
    named = _env_accelerator(details.env)
    argued = cuda_argument.accelerator(details) if named is None else None
    return Examined(evidence.gather(details), version, named, argued)


def _verdict(image: model.Image, examined: Examined, signs: tuple[model.Evidence, ...]) -> model.Verdict:
    if not signs:
        return model.Verdict(kind=model.Class.OTHER)
    installed, left_out = examined.findings.installs, examined.findings.left_out
    honest = tuple(_honest_tags(image))
    torchs = [str(tag.version) for tag in honest if _is_torchs(tag)]
    accelerators = [tag.accelerator for tag in honest if tag.accelerator]
    return model.Verdict(
        # What was left out may say that it is not a PyTorch image.
        kind=model.Class.AMBIGUOUS if left_out or _is_gone(image, installed, signs) else _kind(signs),
        evidence=signs,
        torch_version=_told(torchs, installed.version, examined.torch_version),
        accelerator=_told(accelerators, installed.accelerator, examined.accelerator) or examined.argued_accelerator,
        history_version=installed.version,
        history_accelerator=installed.accelerator,
        left_out=left_out,
    )


def _is_gone(image: model.Image, installed: build_history.Installs, signs: Iterable[model.Evidence]) -> bool:
    """Whether its history takes torch away, whatever ENV and labels of its base say, and the names people gave it.

    A vendor's own image may get torch back by a way that its history does not show: a requirements file, a wheel.
    """
    if not installed.is_gone:
        return False
    is_vendors = any(repositories.is_vendors(tags.parse(reference).repository) for reference in image.all_references)
    proven = (sign.kind == "repository" and sign.strength is model.Strength.STRONG for sign in signs)
    return not (is_vendors and any(proven))


def _told(tags_say: Sequence[str], installed: str | None, env: str | None) -> str | None:
    """ENV first, then tags, then the history. ENV may be inherited and stale: a tag that the history bears out wins."""
    if installed is not None and installed in tags_say:
        return installed
    return env or next(iter(tags_say), installed)


def _kind(found: Sequence[model.Evidence]) -> model.Class:
    strong = any(sign.strength is model.Strength.STRONG for sign in found)
    return model.Class.PYTORCH if strong or signs.independent(found) else model.Class.AMBIGUOUS


def _env_torch_version(env: Mapping[str, str]) -> str | None:
    """NVIDIA_PYTORCH_VERSION is never asked: it is the number of NVIDIA's release (24.01), not of torch."""
    told = (plain_version(env.get(name, "")) for name in ("PYTORCH_VERSION", "PYTORCH_BUILD_VERSION"))
    return next(filter(None, told), None)


def _is_torchs(tag: tags.Tag) -> bool:
    """Whether the tag's version is torch's own; vLLM, SGLang and others put theirs in the same place."""
    if tag.scheme == "framework":
        return True
    # Without an accelerator the number may be anything: that of the image's own release, or Python's.
    named = tag.repository.rpartition("/")[2] in _TORCH_VERSIONED and tag.accelerator is not None
    return named and tag.scheme == "pep440"


def _env_accelerator(env: Mapping[str, str]) -> str | None:
    """The label com.nvidia.cuda.version is never asked: it is wrong on NVIDIA's own images."""
    if match := _MAJOR_MINOR.match(env.get("CUDA_VERSION", "")):
        return f"cuda{match[0]}"
    if match := _MAJOR_MINOR.match(env.get("ROCM_VERSION", "")):
        return f"rocm{match[0]}"
    match = _ROCM_FOLDER.search(env.get("ROCM_PATH", ""))
    return f"rocm{match[1]}" if match else None


def _honest_tags(image: model.Image) -> Iterator[tags.Tag]:
    for reference in image.references:
        if not reference.startswith(_LYING_TAGS):
            yield tags.parse(reference)


def _lineage(
    images: Mapping[str, model.Image],
    signs: Mapping[str, tuple[model.Evidence, ...]],
    examined: Mapping[str, Examined],
) -> dict[str, tuple[model.Evidence, ...]]:
    """Images whose layers begin with all layers of another image that installed torch.

    Only a seed whose history runs the installation counts. A `COPY /opt/conda` does not, whatever the seed's ENV
    says: ENV adds no layer, so such a chain may be no more than a plain base's. For the same reason a chain
    is dropped where any image without evidence begins with it, or one that could not be judged. An image whose own
    history takes torch away inherits none.
    """
    chains = _chains(images.values())
    seeds: dict[int, model.Image] = {}
    plain: set[int] = set()
    for id_, chain in chains.items():
        findings = examined[id_].findings
        if chain and findings.installs.torch and not findings.left_out:
            seeds.setdefault(chain[-1], images[id_])
        if not signs.get(id_):
            plain.update(chain)
    heirs = {id_: chain for id_, chain in chains.items() if not examined[id_].findings.installs.is_removed}
    return {id_: (sign,) for id_, chain in heirs.items() if (sign := _descent(id_, chain, seeds, plain))}


def _descent(id_: str, chain: list[int], seeds: Mapping[int, model.Image], plain: set[int]) -> model.Evidence | None:
    for number in reversed(chain):
        seed = seeds.get(number)
        if seed is not None and seed.id != id_ and number not in plain:
            name = seed.references[0] if seed.references else seed.id[:19]
            return signs.sign("lineage", model.Strength.MEDIUM, f"built on {name}")
    return None


def _chains(images: Iterable[model.Image]) -> dict[str, list[int]]:
    """Each image's ID with a number for every prefix of its layers; equal prefixes share their number."""
    numbers: dict[tuple[int, str], int] = {}

    def chain(image: model.Image) -> list[int]:
        at, found = 0, []
        for layer in image.details.layers[: bounds.LAYERS] if image.details else ():
            at = numbers.setdefault((at, layer), len(numbers) + 1)
            found.append(at)
        return found

    return isolation.each(images, chain)[0]
