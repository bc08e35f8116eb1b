"""Is it a PyTorch image, and on what evidence."""

import re
from collections.abc import Iterable, Iterator, Mapping

from agent.core import evidence, installs, model, tags

_MAJOR_MINOR = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,2})?(?![0-9])")
_ROCM_FOLDER = re.compile(r"/rocm-([0-9]{1,2}\.[0-9]{1,2})")
_TORCH_VERSIONED = frozenset({"pytorch", "pytorch-nightly", "pytorch-training", "pytorch-inference"})
_LYING_TAGS = "mcr.microsoft.com/azureml/"  # Azure ML's tags, and even names, contradict what is inside


def classify(images: Iterable[model.Image]) -> dict[str, model.Verdict]:
    """Image ID -> verdict. An image without details is absent: it is unknown, and its caller keeps it.

    `pytorch` takes one strong sign or two medium ones of different families; any other evidence makes it
    `ambiguous`, none at all `other`.
    """
    known = {image.id: (image, image.details) for image in images if image.details is not None}
    findings = {id_: evidence.gather(image, details) for id_, (image, details) in known.items()}
    lineage = _lineage({id_: image for id_, (image, _) in known.items()}, findings)
    return {id_: _verdict(image, details, findings[id_], lineage.get(id_)) for id_, (image, details) in known.items()}


def _verdict(
    image: model.Image,
    details: model.Details,
    findings: evidence.Findings,
    lineage: model.Evidence | None,
) -> model.Verdict:
    signs = findings.evidence + ((lineage,) if lineage else ())
    if not signs:
        return model.Verdict(kind=model.Class.OTHER)
    return model.Verdict(
        kind=_kind(signs),
        evidence=signs,
        torch_version=_torch_version(image, details, findings.installs),
        accelerator=_accelerator(image, details, findings.installs),
    )


def _kind(signs: Iterable[model.Evidence]) -> model.Class:
    strong = any(sign.strength is model.Strength.STRONG for sign in signs)
    families = {sign.family for sign in signs if sign.strength is model.Strength.MEDIUM}
    return model.Class.PYTORCH if strong or len(families) > 1 else model.Class.AMBIGUOUS


def _torch_version(image: model.Image, details: model.Details, installed: installs.Installs) -> str | None:
    """ENV, then a tag that is torch's, then the history.

    NVIDIA_PYTORCH_VERSION is never asked: it is the number of NVIDIA's release (24.01), not of torch.
    """
    for name in ("PYTORCH_VERSION", "PYTORCH_BUILD_VERSION"):
        if version := installs.plain_version(details.env.get(name, "")):
            return version
    told = (str(tag.version) for tag in _honest_tags(image) if _is_torchs(tag))
    return next(told, installed.version)


def _is_torchs(tag: tags.Tag) -> bool:
    """Whether the tag's version is torch's own; vLLM, SGLang and others put theirs in the same place."""
    if tag.scheme == "framework":
        return True
    # Without an accelerator the number may be anything: runpod/pytorch:3.10-2.0.0-117 begins with Python's.
    named = tag.repository.rpartition("/")[2] in _TORCH_VERSIONED and tag.accelerator is not None
    return named and tag.scheme == "pep440"


def _accelerator(image: model.Image, details: model.Details, installed: installs.Installs) -> str | None:
    """ENV, then the tags, then the wheel index. The label com.nvidia.cuda.version is wrong on NVIDIA's own."""
    if match := _MAJOR_MINOR.match(details.env.get("CUDA_VERSION", "")):
        return f"cuda{match[0]}"
    if match := _MAJOR_MINOR.match(details.env.get("ROCM_VERSION", "")):
        return f"rocm{match[0]}"
    if match := _ROCM_FOLDER.search(details.env.get("ROCM_PATH", "")):
        return f"rocm{match[1]}"
    told = (tag.accelerator for tag in _honest_tags(image) if tag.accelerator)
    return next(told, installed.accelerator)


def _honest_tags(image: model.Image) -> Iterator[tags.Tag]:
    for reference in image.references:
        if not reference.startswith(_LYING_TAGS):
            yield tags.parse(reference)


def _lineage(images: Mapping[str, model.Image], findings: Mapping[str, evidence.Findings]) -> dict[str, model.Evidence]:
    """Images whose layers begin with all layers of another image that installed torch.

    Only a seed whose history runs the installation counts. A `COPY /opt/conda` does not, whatever the seed's ENV
    says: ENV adds no layer, so such a chain may be no more than a plain base's. For the same reason a chain
    is dropped where any image without evidence begins with it.
    """
    chains = dict(_chains(images))
    seeds: dict[int, model.Image] = {}
    plain: set[int] = set()
    for id_, chain in chains.items():
        if chain and findings[id_].installs.torch:
            seeds.setdefault(chain[-1], images[id_])
        if not findings[id_].evidence:
            plain.update(chain)
    return {id_: sign for id_, chain in chains.items() if (sign := _descent(id_, chain, seeds, plain))}


def _descent(id_: str, chain: list[int], seeds: Mapping[int, model.Image], plain: set[int]) -> model.Evidence | None:
    for number in reversed(chain):
        seed = seeds.get(number)
        if seed is not None and seed.id != id_ and number not in plain:
            name = seed.references[0] if seed.references else seed.id[:19]
            return evidence.sign("lineage", model.Strength.MEDIUM, f"built on {name}")
    return None


def _chains(images: Mapping[str, model.Image]) -> Iterator[tuple[str, list[int]]]:
    """Each image's ID with a number for every prefix of its layers; equal prefixes share their number."""
    numbers: dict[tuple[int, str], int] = {}
    for id_, image in images.items():
        at, chain = 0, []
        for layer in image.details.layers if image.details else ():
            at = numbers.setdefault((at, layer), len(numbers) + 1)
            chain.append(at)
        yield id_, chain
