"""The parts of an image name, and whether it follows the convention `org/framework:version-cuda<version>`."""

import re
from dataclasses import dataclass

from agent.core.images import tags

CONVENTION = "org/framework:version-cuda<version>"
PYTORCH = ("pytorch",)  # `ParsedName.words` of a name that means PyTorch itself

_SEPARATORS = re.compile(r"[-_.]+")
# Words that belong into the tag. `cpu`, `rocm` and `cu118` are not here, because they distinguish builds.
_DECORATION = frozenset({"gpu", "gpus", "cuda", "nvidia"})
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,254}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedName:
    """The parts of one reference. Two names with the same `words` but a different `last` are look-alikes."""

    reference: str
    tag: tags.Tag
    registry: str  # "" for Docker Hub, and for an image that was never pushed
    folder: str  # the registry and the organisation; "" if there is neither
    path: str  # the repository without the registry
    last: str  # the last part of the repository, in lower case: "pytorch-gpu"
    words: tuple[str, ...]  # the words of `last`, sorted, without decoration; "torch" is replaced by "pytorch"
    decorated: bool  # `last` contains words like "gpu", which only mean that the image is for GPUs
    vendors: bool  # published by a vendor, or tagged in NVIDIA's scheme: nobody on this host chose the name

    @property
    def repository(self) -> str:
        return self.tag.repository

    @property
    def alias(self) -> bool:
        """Whether this is another form of a plain name, like `pytorch-gpu` or `torch` for `pytorch`."""
        return self.decorated or (self.words == PYTORCH and self.last not in PYTORCH)


def parse(reference: str) -> ParsedName:
    """Split a reference into its parts. Never raises."""
    from agent.core.pytorch import repositories  # loading its lists is slow, and `--help` does not need them

    tag = tags.parse(reference)
    folder, _, last = tag.repository.rpartition("/")
    first, slash, rest = tag.repository.partition("/")
    registry = first if slash and ("." in first or ":" in first or first == "localhost") else ""
    words = ["pytorch" if word == "torch" else word for word in _SEPARATORS.split(last.lower()) if word]
    plain = [word for word in words if word not in _DECORATION]
    return ParsedName(
        reference=reference,
        tag=tag,
        registry=registry,
        folder=folder,
        path=rest if registry else tag.repository,
        last=last.lower(),
        words=tuple(sorted(plain or words)),
        decorated=0 < len(plain) < len(words),
        vendors=tag.scheme == "ngc" or repositories.is_vendors(tag.repository),
    )


def missing_parts(name: ParsedName) -> tuple[str, ...]:
    """The parts that the convention requires and the name lacks, for people; () if it follows the convention.

    Any accelerator is accepted, with any text after it. Instead of the framework's version, the tag of a product may
    contain the product's version and torch's: `corp/ranker:7-torch2.6-cuda11.8`.
    """
    is_missing = {
        "an organisation": not name.folder,
        "the framework's plain name": name.words == PYTORCH and name.decorated,
        "a version": name.tag.scheme not in ("pep440", "framework"),
        "an accelerator like cuda12.6": name.tag.accelerator is None,
    }
    return tuple(part for part, missing in is_missing.items() if missing)


def suggest(name: ParsedName, torch: str | None, accelerator: str | None) -> str | None:
    """The name that the image should have.

    None if the torch version or the accelerator is unknown, or if no valid name can be made of them.
    """
    if not torch or not accelerator or not _REPOSITORY.fullmatch(name.repository):
        return None
    folder = name.folder or "ORG"
    if name.words == PYTORCH:
        last, tag = "pytorch", f"{torch}-{accelerator}"
    else:  # a product: its own name and version stay
        own = f"{name.tag.tag}-" if name.tag.tag else ""
        last, tag = name.last, f"{own}torch{torch}-{accelerator}"
    suggested = parse(f"{folder}/{last}:{tag}")
    reads_back = (suggested.tag.version_text, suggested.tag.accelerator) == (torch, accelerator)
    return suggested.reference if reads_back and _TAG.fullmatch(tag) and not missing_parts(suggested) else None
