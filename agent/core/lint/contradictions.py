"""Contradictions between an image's tag and its ENV: another torch version, or another accelerator."""

import re
from collections.abc import Iterator

from agent.core.images import tags, versions
from agent.core.lint import names
from agent.core.model import Details, Verdict

_NUMBER = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,2})?)(?![0-9])")
_RELEASE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,5}")
_DOTTED = re.compile(r"v?[0-9]{1,4}\.[0-9]{1,4}")
_CALENDAR = 10  # a major version from here on is a year or the image's own release number, not torch's version


def built_for(details: Details, verdict: Verdict) -> str | None:
    """The accelerator that torch itself was built for: `cpu`, `cuda12.6`; None if it is unknown.

    The local part of torch's version (`2.9.0+cpu`) takes precedence, because a build without CUDA may be installed on a
    base with CUDA.
    """
    return _local(details) or verdict.accelerator


def contradictions(name: names.ParsedName, details: Details, verdict: Verdict) -> tuple[str, ...]:
    """Each contradiction between the tag and ENV, as a clause for people.

    Only the precision that both share is compared: `2.9` does not contradict `2.9.1`, `cuda12` does not contradict
    12.6.3, and `2.9.0` does not contradict `2.9.0a0+81ea7a4`. Labels and NVIDIA_PYTORCH_VERSION are not read, because
    they do not contain torch's version. ENV may be inherited and outdated, so a tag that agrees with the build history
    is taken as correct.
    """
    differences = (*_of_version(name, details, verdict), *_of_accelerator(name, details, verdict))
    return tuple(f"says {claimed}, but ENV {variable} says {own}" for claimed, variable, own in differences)


def same_version(one: str, other: str) -> bool:
    """Whether two versions agree in the parts that both have; local parts and pre-releases are ignored."""
    return _agree(_release(one), _release(other))


def _of_version(name: names.ParsedName, details: Details, verdict: Verdict) -> Iterator[tuple[str, str, str]]:
    claimed = name.tag.version_text
    if not _has_torch_version(name) or (verdict.history_version and same_version(claimed, verdict.history_version)):
        return
    for variable in ("PYTORCH_VERSION", "PYTORCH_BUILD_VERSION"):
        own = versions.plain_version(details.env.get(variable, ""))
        if own is not None:
            if not same_version(claimed, own):
                yield f"torch {claimed}", variable, own
            return


def _has_torch_version(name: names.ParsedName) -> bool:
    """Whether the tag's version is meant as torch's own; vLLM, SGLang and others put theirs in the same place."""
    tag = name.tag
    if tag.scheme == "framework":
        return True
    if tag.scheme != "pep440" or tag.version is None or name.words != names.PYTORCH:
        return False
    if tag.accelerator is not None:
        return True
    # Without an accelerator the number may be anything: 1.0.3-2.0.0 may begin with the image's own release number.
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
    """The accelerator in the local part of torch's version: `2.9.0+cu118`. NVIDIA's local part is a commit: None."""
    return tags.accelerator(details.env.get("PYTORCH_VERSION", "").partition("+")[2][:40].lower())


def _same_accelerator(one: str, other: str) -> bool:
    kind, other_kind = (text.rstrip("0123456789.") for text in (one, other))
    return kind == other_kind and _agree(_release(one[len(kind) :]), _release(other[len(kind) :]))


def _agree(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(left == right for left, right in zip(one, other, strict=False))


def _release(version: str) -> tuple[int, ...]:
    match = _RELEASE.match(version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
