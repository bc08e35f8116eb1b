"""A reference as people read it, and how it should read: `org/framework:version-cuda<version>`."""

import re
from dataclasses import dataclass

from agent.core.images import tags

CONVENTION = "org/framework:version-cuda<version>"
PYTORCH = ("pytorch",)  # the words of every name that means PyTorch itself

_SEPARATORS = re.compile(r"[-_.]+")
# What the tag should say. `cpu`, `rocm` and `cu118` are not here: they tell one build from another.
_DECORATION = frozenset({"gpu", "gpus", "cuda", "nvidia"})
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,254}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedName:
    """One reference, taken apart. Compare `words` and `last`: the same words under another `last` are a look-alike."""

    reference: str
    tag: tags.Tag
    registry: str  # "" for Docker Hub, and for what was never pushed
    folder: str  # the registry and the organisation; "" for none
    path: str  # the repository without the registry
    last: str  # the last part of the repository, in lower case: "pytorch-gpu"
    words: tuple[str, ...]  # of `last`, sorted, without decoration; torch is pytorch
    decorated: bool  # `last` has words that say no more than that there is a GPU
    vendors: bool  # published by a vendor, or tagged in NVIDIA's own scheme: nobody here chose it

    @property
    def repository(self) -> str:
        return self.tag.repository

    @property
    def alias(self) -> bool:
        """Whether it is not the plain name of what it means: `pytorch-gpu`, `torch`."""
        return self.decorated or (self.words == PYTORCH and self.last not in PYTORCH)


def parse(reference: str) -> ParsedName:
    """Take a reference apart. Never raises."""
    from agent.core.pytorch import repositories  # its lists take a while to load, and `--help` asks for none of them

    tag = tags.parse(reference)
    folder, _, last = tag.repository.rpartition("/")
    first, slash, rest = tag.repository.partition("/")
    registry = first if slash and ("." in first or ":" in first or first == "localhost") else ""
    spoken = ["pytorch" if word == "torch" else word for word in _SEPARATORS.split(last.lower()) if word]
    bare = [word for word in spoken if word not in _DECORATION]
    return ParsedName(
        reference=reference,
        tag=tag,
        registry=registry,
        folder=folder,
        path=rest if registry else tag.repository,
        last=last.lower(),
        words=tuple(sorted(bare or spoken)),
        decorated=0 < len(bare) < len(spoken),
        vendors=tag.scheme == "ngc" or repositories.is_vendors(tag.repository),
    )


def missing_parts(name: ParsedName) -> tuple[str, ...]:
    """What the convention asks for and the name lacks; () where it follows.

    Any accelerator will do, and anything may stand behind it. Instead of the framework's version a product may
    tell its own and torch's: `corp/ranker:7-torch2.6-cuda11.8`.
    """
    lacks = {
        "an organisation": not name.folder,
        "the framework's plain name": name.words == PYTORCH and name.decorated,
        "a version": name.tag.scheme not in ("pep440", "framework"),
        "an accelerator like cuda12.6": name.tag.accelerator is None,
    }
    return tuple(what for what, lacking in lacks.items() if lacking)


def suggest(name: ParsedName, torch: str | None, accelerator: str | None) -> str | None:
    """The name that it should have; None where version or accelerator is not known, or makes no readable tag."""
    if not torch or not accelerator or not _REPOSITORY.fullmatch(name.repository):
        return None
    folder = name.folder or "ORG"
    if name.words == PYTORCH:
        last, tag = "pytorch", f"{torch}-{accelerator}"
    else:  # a product: its own name and version stay
        own = f"{name.tag.tag}-" if name.tag.tag else ""
        last, tag = name.last, f"{own}torch{torch}-{accelerator}"
    meant = parse(f"{folder}/{last}:{tag}")
    reads_back = (meant.tag.version_text, meant.tag.accelerator) == (torch, accelerator)
    return meant.reference if reads_back and _TAG.fullmatch(tag) and not missing_parts(meant) else None
