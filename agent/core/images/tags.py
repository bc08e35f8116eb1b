"""Parse an image reference: the repository, and from the tag the version, accelerator, flavour and Python version."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from packaging.version import Version

Scheme = Literal["ngc", "framework", "pep440", "opaque"]

# Every pattern is bounded, so that the cost of a hostile tag grows only with its length. All expect lower case.
_NGC = re.compile(r"([0-9]{2}\.(?:0[1-9]|1[0-2])(?:\.[0-9]{1,2})?)-py[0-9]")
_FRAMEWORK = re.compile(
    r"(?<![a-z0-9])(?:py)?torch[-_]?(?:release[-_]?)?v?"
    r"(?:([0-9]{1,2}(?:\.[0-9]{1,3}){1,2}(?:(?:a|b|rc)[0-9]{1,3})?(?:\.post[0-9]{1,3})?(?:\.dev[0-9]{1,8})?)"
    r"|([1-9][0-9]{2,3}))(?![0-9])"
)
# Three digits with two possible readings: 1.1.0 or 1.10; 2.1.x or 2.10 to 2.12. For each kind of accelerator: the last
# version that the older release was built for, and the first version of the newer one. If the tag names an accelerator
# outside these ranges, or none, the version is unknown.
_OF_2_1 = {"cuda": ((12, 1), (12, 6)), "rocm": ((5, 7), (7, 0))}
_TWO_MEANINGS = {"110": {"cuda": ((10, 0), (10, 2))}, "210": _OF_2_1, "211": _OF_2_1, "212": _OF_2_1}
_NEVER_PATCHED = re.compile(r"11[1-3]|21[3-9]")  # torch 1.1.1 to 1.1.3 and 2.1.3 to 2.1.9 never existed
# `-a100` and `-b200` are GPUs, so `a` and `b` mark a pre-release only directly after the digits: `2.2.0a0`.
_LEADING = re.compile(
    r"v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,5}"
    r"(?:(?:a|b|rc)[0-9]{1,9}|[-_.]?(?:alpha|beta|rc)(?:[-_.]?[0-9]{1,9})?)?"
    r"(?:[-_.]?post(?:[-_.]?[0-9]{1,9})?)?(?:[-_.]?dev(?:[-_.]?[0-9]{1,9})?)?)(?=[-_]|\Z)"
)
_CUDA = re.compile(r"(?<![a-z0-9])(?:cuda[-_]?|cu)([89]|1[0-9])(?:\.([0-9]{1,2}))?(?![0-9])")
_CUDA_DIGITS = re.compile(r"(?<![a-z0-9])cu(?:da)?([89]|1[0-9])([0-9])[0-9]?(?![0-9])")  # cu92, cu118, cu1281
_ROCM = re.compile(r"(?<![a-z0-9])rocm[-_]?([0-9])(?:\.([0-9]{1,2}))?(?![0-9])")
_ROCM_DIGITS = re.compile(r"(?<![a-z0-9])rocm([4-9])([0-9])[0-9]?(?![0-9])")  # rocm64, rocm644
_WORD = re.compile(r"(?<![a-z0-9])(rocm|xpu|hpu|gaudi|neuron|npu)[x23]?(?![a-z0-9])")
_CPU = re.compile(r"(?<![a-z0-9])cpu(?![a-z0-9])")
_PYTHON = re.compile(r"(?<![a-z0-9])(?:py|python|cp)[-_]?3\.?([0-9]{1,2})(?![0-9])")

# runpod's first tags list Python, torch and CUDA: 3.10-2.0.0-117. Its later tags have the form 2.0.1-py3.10-cuda11.8.
_PYTHON_FIRST = re.compile(r"\A(3\.[0-9]{1,2})-([12]\.[0-9]{1,2}\.[0-9]{1,2})-(1[0-3])([0-9])(?=[-_]|\Z)")
_PERHAPS_PYTHON = re.compile(r"3\.(?:[6-9]|1[0-9])[-_]v?[0-9]{1,4}\.[0-9]")

_FLAVOURS = frozenset(
    {"base", "devel", "runtime", "slim", "training", "inference", "ec2", "sagemaker", "igpu", "jetson", "l4t", "trtllm"}
)
_OPAQUE: tuple[Scheme, None, str] = ("opaque", None, "")
_FIRST_DATE = 100_000  # a single number from here on is a date or a build number; as a version it would be the newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A parsed reference. Versions can be compared only within one repository and one scheme."""

    repository: str  # with its registry, without tag and digest
    tag: str  # "" if the reference has no tag
    scheme: Scheme = "opaque"
    version: Version | None = None  # None if and only if the scheme is opaque
    version_text: str = ""  # as the tag writes it, without "v"; "torch280" gives "2.8.0"
    accelerator: str | None = None  # "cuda11.8", "cuda12", "rocm6.1", "rocm", "xpu", "hpu", "npu", "neuron", "cpu"
    flavour: str = ""  # "devel", "runtime", "training-sagemaker"; "" if there is none
    python: str | None = None  # "3.11"


@lru_cache(maxsize=4096)  # all names of a host: several modules parse each of them at every change
def parse(reference: str) -> Tag:
    """Parse `repository[:tag][@digest]`, in any form that an engine may list. Never raises."""
    folder, slash, rest = reference.partition("@")[0].rpartition("/")
    name, _, tag = rest.partition(":")
    text = _PYTHON_FIRST.sub(r"\2-py\1-cuda\3.\4", tag.lower())
    built_for = accelerator(text)
    scheme, version, version_text = _version(text, built_for)
    return Tag(
        repository=folder + slash + name,
        tag=tag,
        scheme=scheme,
        version=version,
        version_text=version_text,
        accelerator=built_for,
        flavour="-".join(word for word in re.split("[-_]", text) if word in _FLAVOURS),
        python=f"3.{match[1]}" if (match := _PYTHON.search(text)) else None,
    )


def accelerator(text: str) -> str | None:
    """The accelerator that a tag or the address of a wheel index names: `cuda11.8` for `cu118`; None if it names none.

    Names are torch's own: `hpu` for gaudi.
    """
    if match := _CUDA.search(text) or _CUDA_DIGITS.search(text):
        return _dotted("cuda", match)
    if match := _ROCM.search(text) or _ROCM_DIGITS.search(text):
        return _dotted("rocm", match)
    if match := _WORD.search(text):
        return "hpu" if match[1] == "gaudi" else match[1]
    return "cpu" if _CPU.search(text) else None


def _dotted(name: str, match: re.Match[str]) -> str:
    return name + ".".join(part for part in match.groups() if part)


def _version(tag: str, built_for: str | None) -> tuple[Scheme, Version | None, str]:
    if match := _NGC.match(tag):
        return "ngc", Version(match[1]), match[1]
    if match := _FRAMEWORK.search(tag):
        text = match[1] or _dotted_version(match[2], built_for)
        return ("framework", Version(text), text) if text else _OPAQUE
    match = _LEADING.match(tag)
    if match and not _PERHAPS_PYTHON.match(tag):
        version = Version(match[1])
        if len(version.release) > 1 or version.major < _FIRST_DATE:
            return "pep440", version, match[1]
    return _OPAQUE


def _dotted_version(digits: str, built_for: str | None) -> str:
    """The version that digits without dots mean: `280` is 2.8.0, `2100` is 2.10.0, `112` is 1.12.

    Digits with two possible meanings are decided by the accelerator in `built_for`; "" if it does not decide.
    """
    patched, two_parts = f"{digits[:-2]}.{digits[-2]}.{digits[-1]}", f"{digits[0]}.{digits[1:]}"
    if len(digits) > 3:
        return f"{digits[0]}.{digits[1:3]}.{digits[3]}"
    if _NEVER_PATCHED.fullmatch(digits):
        return two_parts
    if digits not in _TWO_MEANINGS:
        return patched
    kind, at = _number(built_for or "")
    last, first = _TWO_MEANINGS[digits].get(kind, ((0, 0), (999, 0)))
    return patched if (0, 0) < at <= last else two_parts if at >= first else ""


def _number(built_for: str) -> tuple[str, tuple[int, int]]:
    """`cuda12.6` as ("cuda", (12, 6)); the version is (0, 0) if the minor part is missing."""
    kind = built_for.rstrip("0123456789.")
    major, _, minor = built_for[len(kind) :].partition(".")
    return kind, (int(major), int(minor)) if minor else (0, 0)
