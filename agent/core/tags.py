"""What an image reference says: its repository, and in its tag a version, accelerator, flavour and Python."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from packaging.version import Version

Scheme = Literal["ngc", "framework", "pep440", "opaque"]

# Every pattern is bounded, so that a hostile tag costs no more than its length; all read lower case.
_NGC = re.compile(r"([0-9]{2}\.(?:0[1-9]|1[0-2])(?:\.[0-9]{1,2})?)-py[0-9]")
_FRAMEWORK = re.compile(
    r"(?<![a-z0-9])(?:py)?torch[-_]?(?:release[-_]?)?v?"
    r"(?:([0-9]{1,2}(?:\.[0-9]{1,3}){1,2}(?:(?:a|b|rc)[0-9]{1,3})?(?:\.post[0-9]{1,3})?(?:\.dev[0-9]{1,8})?)"
    r"|([1-9])([0-9]{1,2})([0-9]))(?![0-9])"
)
# `-a100` and `-b200` name GPUs, so `a` and `b` count only where they stand at the digits: `2.2.0a0`.
_LEADING = re.compile(
    r"v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,5}"
    r"(?:(?:a|b|rc)[0-9]{1,9}|[-_.]?(?:alpha|beta|rc)(?:[-_.]?[0-9]{1,9})?)?"
    r"(?:[-_.]?post(?:[-_.]?[0-9]{1,9})?)?(?:[-_.]?dev(?:[-_.]?[0-9]{1,9})?)?)(?=[-_]|\Z)"
)
_CUDA = re.compile(r"(?<![a-z0-9])cuda[-_]?([89]|1[0-9])(?:\.([0-9]{1,2}))?(?![0-9])")
_CU_DIGITS = re.compile(r"(?<![a-z0-9])cu(?:da)?([0-9]{2})([0-9])(?![0-9])")
_ROCM = re.compile(r"(?<![a-z0-9])rocm[-_]?([0-9])(?:\.([0-9]{1,2}))?(?![0-9])")
_CPU = re.compile(r"(?<![a-z0-9])cpu(?![a-z0-9])")
_PYTHON = re.compile(r"(?<![a-z0-9])(?:py|python|cp)[-_]?3\.?([0-9]{1,2})(?![0-9])")

_FLAVOURS = frozenset({"base", "devel", "runtime", "slim", "training", "inference", "igpu", "ec2", "sagemaker"})
_FIRST_DATE = 100_000  # a lone number from here on is a date or a build number, and would beat every version


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A reference, read. Versions are ordered only within one repository and one scheme."""

    repository: str  # with its registry, without tag and digest
    tag: str  # "" where the reference has none
    scheme: Scheme = "opaque"
    version: Version | None = None  # None exactly where the scheme is opaque
    version_text: str = ""  # as the tag writes it, without "v"; "torch280" gives "2.8.0"
    accelerator: str | None = None  # "cuda11.8", "cuda12", "rocm6.1", "cpu"
    flavour: str = ""  # "devel", "runtime", "training-sagemaker"; "" for none
    python: str | None = None  # "3.11"


@lru_cache(maxsize=4096)  # the names of a host, each read by several at every change
def parse(reference: str) -> Tag:
    """Read `repository[:tag][@digest]`, in any form an engine may list. Never raises."""
    folder, slash, rest = reference.partition("@")[0].rpartition("/")
    name, _, tag = rest.partition(":")
    text = tag.lower()
    scheme, version, version_text = _version(text)
    return Tag(
        repository=folder + slash + name,
        tag=tag,
        scheme=scheme,
        version=version,
        version_text=version_text,
        accelerator=accelerator(text),
        flavour="-".join(word for word in re.split("[-_]", text) if word in _FLAVOURS),
        python=f"3.{match[1]}" if (match := _PYTHON.search(text)) else None,
    )


def accelerator(text: str) -> str | None:
    """The CUDA or ROCm version, or `cpu`, that a tag or an index address names: `cu118` is `cuda11.8`."""
    if match := _CUDA.search(text) or _CU_DIGITS.search(text):
        return _dotted("cuda", match)
    if match := _ROCM.search(text):
        return _dotted("rocm", match)
    return "cpu" if _CPU.search(text) else None


def _dotted(name: str, match: re.Match[str]) -> str:
    return name + ".".join(part for part in match.groups() if part)


def _version(tag: str) -> tuple[Scheme, Version | None, str]:
    if match := _NGC.match(tag):
        return "ngc", Version(match[1]), match[1]
    if match := _FRAMEWORK.search(tag):
        text = match[1] or ".".join(match.group(2, 3, 4))
        return "framework", Version(text), text
    if match := _LEADING.match(tag):
        version = Version(match[1])
        if len(version.release) > 1 or version.major < _FIRST_DATE:
            return "pep440", version, match[1]
    return "opaque", None, ""
