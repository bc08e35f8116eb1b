"""Judge whether an image is a PyTorch image, and keep the evidence."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.core import model
from agent.core.images import isolation, tags
from agent.core.images.versions import plain_version
from agent.core.pytorch import bounds, build_history, cuda_argument, evidence, repositories, signs

_MAJOR_MINOR = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,2})?(?![0-9])")
_ROCM_FOLDER = re.compile(r"/rocm-([0-9]{1,2}\.[0-9]{1,2})")
_TORCH_VERSIONED = frozenset({"pytorch", "pytorch-nightly", "pytorch-training", "pytorch-inference"})
_WRONG_TAGS = "mcr.microsoft.com/azureml/"  # Azure ML's tags, and even its names, contradict the images' contents


@dataclass(frozen=True, slots=True)
class Examined:
    """The evidence in an image's configuration and history, without its names. It never changes for an image ID."""

    findings: evidence.ImageEvidence
    torch_version: str | None = None  # from ENV or labels
    accelerator: str | None = None  # from ENV
    argued_accelerator: str | None = None  # from a build argument
    failure: str = ""  # why the image could not be examined


def classify(images: Iterable[model.Image]) -> dict[str, model.Verdict]:
    """Image ID -> verdict. Examines every image again."""
    images = tuple(images)
    return verdicts(images, {image.id: examine(image) for image in images})


def examine(image: model.Image) -> Examined:
    """Examine an image's configuration and history, which is the slow part of a verdict. Never raises."""
    examined, failed = isolation.each([image], _examine)
    return examined.get(image.id) or Examined(evidence.NOTHING, failure=failed[image.id])


def verdicts(images: Iterable[model.Image], examined: Mapping[str, Examined]) -> dict[str, model.Verdict]:
    """Image ID -> verdict. Images without details are left out: they are unknown, and the caller keeps them.

    `pytorch` requires one strong sign, or two medium signs of different kinds with different causes. Any other evidence
    makes an image `ambiguous`; without evidence it is `other`. If an image cannot be judged, `failure` in its verdict
    is the reason.
    """
    known = {image.id: image for image in images if image.details is not None}
    named, failures = isolation.each(known.values(), lambda image: tuple(repositories.of_names(image)))
    failures |= {id_: examined[id_].failure for id_ in known if examined[id_].failure}
    signs = {id_: named[id_] + examined[id_].findings.evidence for id_ in known if id_ not in failures}
    lineage = _lineage(known, signs, examined)

    def judge(image: model.Image) -> model.Verdict:
        return _verdict(image, examined[image.id], signs[image.id] + lineage.get(image.id, ()))

    judged, failed = isolation.each((known[id_] for id_ in signs), judge)
    unknown = {id_: model.Verdict(kind=model.Class.OTHER, failure=why) for id_, why in (failures | failed).items()}
    return judged | unknown


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
    parsed = tuple(_credible_tags(image))
    versions = [str(tag.version) for tag in parsed if _has_torch_version(tag)]
    accelerators = [tag.accelerator for tag in parsed if tag.accelerator]
    return model.Verdict(
        # The text that was left out may show that it is not a PyTorch image.
        kind=model.Class.AMBIGUOUS if left_out or _is_gone(image, installed, signs) else _kind(signs),
        evidence=signs,
        torch_version=_choose(versions, installed.version, examined.torch_version),
        accelerator=_choose(accelerators, installed.accelerator, examined.accelerator) or examined.argued_accelerator,
        history_version=installed.version,
        history_accelerator=installed.accelerator,
        left_out=left_out,
    )


def _is_gone(image: model.Image, installed: build_history.TorchInstalls, signs: Iterable[model.Evidence]) -> bool:
    """Whether the image's history removes torch. That outweighs its names, and the ENV and labels of its base.

    It does not for a vendor's own image: it may install torch again in a way that the history does not show, such as a
    requirements file or a wheel.
    """
    if not installed.is_gone:
        return False
    is_vendors = any(repositories.is_vendors(tags.parse(reference).repository) for reference in image.all_references)
    proven = (sign.kind == "repository" and sign.strength is model.Strength.STRONG for sign in signs)
    return not (is_vendors and any(proven))


def _choose(from_tags: Sequence[str], installed: str | None, env: str | None) -> str | None:
    """The most credible of several versions or accelerators: the one in ENV, else in the tags, else in the history.

    ENV may be inherited and outdated, so a value on which tags and history agree comes first.
    """
    if installed is not None and installed in from_tags:
        return installed
    return env or next(iter(from_tags), installed)


def _kind(collected: Sequence[model.Evidence]) -> model.Class:
    strong = any(sign.strength is model.Strength.STRONG for sign in collected)
    return model.Class.PYTORCH if strong or signs.independent(collected) else model.Class.AMBIGUOUS


def _env_torch_version(env: Mapping[str, str]) -> str | None:
    """torch's version in ENV.

    NVIDIA_PYTORCH_VERSION is not used: it is NVIDIA's release (24.01), not torch's version.
    """
    versions = (plain_version(env.get(name, "")) for name in ("PYTORCH_VERSION", "PYTORCH_BUILD_VERSION"))
    return next(filter(None, versions), None)


def _has_torch_version(tag: tags.Tag) -> bool:
    """Whether the tag's version is torch's own; vLLM, SGLang and others put theirs in the same place."""
    if tag.scheme == "framework":
        return True
    # Without an accelerator the number may be anything: the image's own release, or Python's version.
    named = tag.repository.rpartition("/")[2] in _TORCH_VERSIONED and tag.accelerator is not None
    return named and tag.scheme == "pep440"


def _env_accelerator(env: Mapping[str, str]) -> str | None:
    """The accelerator in ENV. The label com.nvidia.cuda.version is not used: it is wrong on NVIDIA's own images."""
    if match := _MAJOR_MINOR.match(env.get("CUDA_VERSION", "")):
        return f"cuda{match[0]}"
    if match := _MAJOR_MINOR.match(env.get("ROCM_VERSION", "")):
        return f"rocm{match[0]}"
    match = _ROCM_FOLDER.search(env.get("ROCM_PATH", ""))
    return f"rocm{match[1]}" if match else None


def _credible_tags(image: model.Image) -> Iterator[tags.Tag]:
    for reference in image.references:
        if not reference.startswith(_WRONG_TAGS):
            yield tags.parse(reference)


def _lineage(
    images: Mapping[str, model.Image],
    signs: Mapping[str, tuple[model.Evidence, ...]],
    examined: Mapping[str, Examined],
) -> dict[str, tuple[model.Evidence, ...]]:
    """Image ID -> evidence that the image is built on an image with torch (a seed): it has all layers of the seed.

    A seed is an image whose history runs the installation. A `COPY /opt/conda` is not enough, whatever the seed's ENV
    is: ENV adds no layer, so the layers may be those of a plain base image. For the same reason a seed does not count
    if its layers are also in an image without evidence, or in one that could not be judged. An image whose own history
    removes torch gets no such evidence.
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
    derived = {id_: chain for id_, chain in chains.items() if not examined[id_].findings.installs.is_removed}
    return {id_: (sign,) for id_, chain in derived.items() if (sign := _descent(id_, chain, seeds, plain))}


def _descent(id_: str, chain: list[int], seeds: Mapping[int, model.Image], plain: set[int]) -> model.Evidence | None:
    for number in reversed(chain):
        seed = seeds.get(number)
        if seed is not None and seed.id != id_ and number not in plain:
            name = seed.references[0] if seed.references else seed.id[:19]
            return signs.make_evidence("lineage", model.Strength.MEDIUM, f"built on {name}")
    return None


def _chains(images: Iterable[model.Image]) -> dict[str, list[int]]:
    """Image ID -> a number for every prefix of its layers, the shortest first. Equal prefixes have the same number."""
    numbers: dict[tuple[int, str], int] = {}

    def number_prefixes(image: model.Image) -> list[int]:
        number, chain = 0, []
        for layer in image.details.layers[: bounds.LAYERS] if image.details else ():
            number = numbers.setdefault((number, layer), len(numbers) + 1)
            chain.append(number)
        return chain

    return isolation.each(images, number_prefixes)[0]
