"""The evidence in an image's names. If a tag is known to be without torch, all names with its path become weak."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

from agent.core import globs, model
from agent.core.images import tags
from agent.core.pytorch import entries
from agent.core.pytorch.entries import LISTS
from agent.core.pytorch.signs import make_evidence

_STRONG, _MEDIUM, _WEAK = model.Strength.STRONG, model.Strength.MEDIUM, model.Strength.WEAK
_STRONGEST_FIRST = tuple(model.Strength)
# Words of a tag that mean something other than an image with torch: `2.9-cuda12.8-base`.
_NOT_TORCH_ITSELF = frozenset(
    {"base", "build", "builder", "deps", "artifacts", "wheel", "wheels", "sbom", "docs", "report"}
)
_KEPT = 4096  # cached repositories: those of a host are looked up at every change
_OF_THE_TAG = "tag"  # the cause of a sign: the person who set the tag states the torch version


def of_names(image: model.Image) -> Iterator[model.Evidence]:
    """The strongest sign in any of the image's names; of equal ones the first."""
    parsed = [tags.parse(reference) for reference in image.all_references]
    refuted = frozenset(_path(tag) for tag in parsed if _is_exception(tag))
    signs = [(tag.repository, sign) for tag in parsed if (sign := _of_name(tag, refuted))]
    if signs:
        repository, best = min(signs, key=lambda one: _STRONGEST_FIRST.index(one[1].strength))
        pulled = best.strength is _STRONG and (image.origin or "").startswith(f"{repository}@")
        # Anybody can set a tag, but the digest that proves the origin comes from a registry. With the containerd store
        # every tag has a digest, which proves nothing; such an image has no origin.
        text = best.text + ", with a digest of it" if pulled else best.text
        yield make_evidence(best.kind, best.strength, text, best.fact)


def is_vendors(repository: str) -> bool:
    """Whether a vendor publishes the repository, directly or through a mirror. Nobody on this host chose its name."""
    name = repository.lower()
    return name.startswith(_VENDORS) or _publisher(name) is not None or _mirrored_path(name) != ""


def _of_name(tag: tags.Tag, refuted: frozenset[str]) -> model.Evidence | None:
    repository = tag.repository.lower()
    if _is_lookalike(repository):
        return None
    if (path := _path(tag)) in refuted:
        return make_evidence("name", _WEAK, f"name {_shown(tag)}, but another tag of it has no torch")
    if (known := _repository(tag)) is not None and (tag.tag or path not in _EXCEPTIONS):
        return make_evidence("repository", known.strength, f"repository {repository}", known.fact or "")
    if (strength := _convention(tag)) is not None:
        return make_evidence("repository", strength, f"name {_shown(tag)}, which follows the convention")
    if (publisher := _publisher(repository)) is not None:
        return make_evidence("repository", publisher.strength, f"repository {repository}", publisher.fact or "")
    return _hint(tag, repository, path)


def _hint(tag: tags.Tag, repository: str, path: str) -> model.Evidence | None:
    if tag.scheme == "framework":
        return make_evidence("name", _MEDIUM, f"name {_shown(tag)}, with torch's version", _OF_THE_TAG)
    if path:  # a digest without a tag, or a mirror, where anybody can push
        return make_evidence("repository", _MEDIUM, f"repository {repository}", _FACTS[path])
    if "torch" in repository or "torch" in tag.tag.lower():
        return make_evidence("name", _WEAK, f"name {_shown(tag)}")
    return None


def _convention(tag: tags.Tag) -> model.Strength | None:
    """The strength of a name in the form that teams should use: `org/pytorch:<version>-cuda<version>`; else None.

    It is strong with cuda. It is medium with rocm or cpu, or if another word of the tag shows that the image may be a
    base for torch, a build stage or a report.
    """
    version, accelerator = tag.version, tag.accelerator
    named = tag.repository.lower().endswith("/pytorch") and tag.scheme in ("pep440", "framework")
    if not named or version is None or accelerator is None:
        return None
    words = set(re.split(r"[-_.]", tag.tag.lower()))
    return _STRONG if accelerator.startswith("cuda") and not words & _NOT_TORCH_ITSELF else _MEDIUM


def _shown(tag: tags.Tag) -> str:
    repository = tag.repository.lower()
    return f"{repository}:{tag.tag}" if tag.tag else repository


def _repository(tag: tags.Tag) -> entries.Repository | None:
    """The entry for exactly this repository that includes this tag; None if there is none."""
    entries_of_name = _BY_NAME.get(tag.repository.lower(), ())
    return next((entry for entry in entries_of_name if _includes(entry.tags, tag)), None)


def _includes(glob: str | None, tag: tags.Tag) -> bool:
    return glob is None or globs.glob(glob, tag.tag.lower())


@lru_cache(_KEPT)
def _is_lookalike(repository: str) -> bool:
    return any(entry.pattern.fullmatch(repository) for entry in LISTS.lookalikes)


@lru_cache(_KEPT)
def _publisher(repository: str) -> entries.Publisher | None:
    return next((entry for entry in LISTS.publishers if entry.pattern.fullmatch(repository)), None)


def _is_exception(tag: tags.Tag) -> bool:
    return any(_includes(glob, tag) for glob in _EXCEPTIONS.get(_path(tag), ()) if tag.tag)


def _path(tag: tags.Tag) -> str:
    """The path of a well-known repository, which its mirrors have, too; "" for any other name."""
    repository = tag.repository.lower()
    if repository in _BY_NAME:
        return _without_registry(repository) if _without_registry(repository) in _FACTS else ""
    return _mirrored_path(repository)


@lru_cache(_KEPT)
def _mirrored_path(repository: str) -> str:
    """The path of the well-known repository that this repository mirrors: its name ends with that path; "" if none."""
    parts = repository.rsplit("/", _DEEPEST + 1)
    paths = ("/".join(parts[start:]) for start in range(1, len(parts)))
    return next((path for path in paths if path in _FACTS), "")


def _without_registry(repository: str) -> str:
    registry, _, path = repository.partition("/")
    return path if "." in registry else repository


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}


_BY_NAME = {
    name: tuple(entry for entry in LISTS.repositories if entry.name == name)
    for name in {entry.name for entry in LISTS.repositories}
}
# Path -> the cause of its sign. If an entry includes only some tags, it proves nothing about a mirror.
_FACTS = {_without_registry(entry.name): entry.fact or "" for entry in LISTS.repositories if entry.tags is None}
_DEEPEST = max(path.count("/") for path in _FACTS)
_EXCEPTIONS = _grouped((_without_registry(entry.name), entry.tags) for entry in LISTS.exceptions)
_VENDORS = (
    *sorted({entry.name.rpartition("/")[0] + "/" for entry in LISTS.repositories}),
    *(entry.name for entry in LISTS.vendors),
)
