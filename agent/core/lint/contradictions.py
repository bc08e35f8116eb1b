"""What an image says of its torch and accelerator, and where a tag says something else."""

import re
from collections.abc import Iterator

from agent.core.images import tags
from agent.core.lint import names
from agent.core.model import Details, Verdict
from agent.core.pytorch import versions

_NUMBER = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,2})?)(?![0-9])")
_RELEASE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,5}")
_DOTTED = re.compile(r"v?[0-9]{1,4}\.[0-9]{1,4}")
_CALENDAR = 10  # from here on a first number is a year or a release of somebody's, and not torch's


def built_for(details: Details, verdict: Verdict) -> str | None:
    """What torch itself was built for: `cpu`, `cuda12.6`; None: not told.

    The local version (`2.9.0+cpu`) comes first, for a build without CUDA may stand on a base that has it.
    """
    return _local(details) or verdict.accelerator


def contradictions(name: names.ParsedName, details: Details, verdict: Verdict) -> tuple[str, ...]:
    """Each contradiction between the tag and ENV, in words.

    They are compared as far as both are precise: `2.9` is not against `2.9.1`, nor `cuda12` against 12.6.3, nor
    `2.9.0` against `2.9.0a0+81ea7a4`. Labels and NVIDIA_PYTORCH_VERSION are never asked: they do not tell torch's
    versions. ENV that was inherited may be stale, so a tag that the history bears out is right.
    """
    found = (*_of_version(name, details, verdict), *_of_accelerator(name, details, verdict))
    return tuple(f"says {claimed}, but ENV {variable} says {own}" for claimed, variable, own in found)


def same_version(one: str, other: str) -> bool:
    """Whether two versions agree, as far as both are precise; local versions and pre-releases do not count."""
    return _agree(_release(one), _release(other))


def _of_version(name: names.ParsedName, details: Details, verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    claimed = name.tag.version_text
    if not _is_torchs(name) or (verdict.history_version and same_version(claimed, verdict.history_version)):
        return
    told = ((variable, details.env.get(variable, "")) for variable in ("PYTORCH_VERSION", "PYTORCH_BUILD_VERSION"))
    for variable, own in ((variable, versions.plain_version(value)) for variable, value in told):
        if own is not None:
            if not same_version(claimed, own):
                yield f"torch {claimed}", variable, own
            return


def _is_torchs(name: names.ParsedName) -> bool:
    """Whether the tag's version claims to be torch's own; vLLM, SGLang and others put theirs in the same place."""
    tag = name.tag
    if tag.scheme == "framework":
        return True
    if tag.scheme != "pep440" or tag.version is None or name.words != names.PYTORCH:
        return False
    if tag.accelerator is not None:
        return True
    # Without an accelerator the number may be anything: 1.0.3-2.0.0 may begin with a release of the image's own.
    others = [part for part in re.split("[-_]", tag.tag.lower())[1:] if _DOTTED.match(part)]
    return len(tag.version.release) > 1 and tag.version.major < _CALENDAR and not others


def _of_accelerator(name: names.ParsedName, details: Details, verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    claimed, own = name.tag.accelerator, list(_accelerators(details))
    if claimed is None or not own:
        return
    witnesses = [value for _, value in own] + ([verdict.history_accelerator] if verdict.history_accelerator else [])
    if not any(_same_accelerator(claimed, witness) for witness in witnesses):
        yield claimed, *own[0]


def _accelerators(details: Details) -> Iterator[tuple[str, str]]:
    if local := _local(details):
        yield "PYTORCH_VERSION", local
    for variable, kind in (("CUDA_VERSION", "cuda"), ("ROCM_VERSION", "rocm")):
        if match := _NUMBER.match(details.env.get(variable, "").strip(" \"'")):
            yield variable, kind + match[1]


def _local(details: Details) -> str | None:
    """The accelerator in torch's local version: `2.9.0+cu118`. NVIDIA's is a commit, and tells none."""
    return tags.accelerator(details.env.get("PYTORCH_VERSION", "").partition("+")[2][:40].lower())


def _same_accelerator(one: str, other: str) -> bool:
    kind, other_kind = (text.rstrip("0123456789.") for text in (one, other))
    return kind == other_kind and _agree(_release(one[len(kind) :]), _release(other[len(kind) :]))


def _agree(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(left == right for left, right in zip(one, other, strict=False))


def _release(version: str) -> tuple[int, ...]:
    match = _RELEASE.match(version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
