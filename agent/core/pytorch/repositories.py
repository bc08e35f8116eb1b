"""What an image's names say. A name is a hint: tags without torch contradict all names of their path."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

from agent.core import globs, model
from agent.core.images import tags
from agent.core.pytorch import entries
from agent.core.pytorch.entries import LISTS
from agent.core.pytorch.signs import sign

_STRONG, _MEDIUM, _WEAK = model.Strength.STRONG, model.Strength.MEDIUM, model.Strength.WEAK
_STRONGEST_FIRST = tuple(model.Strength)
# Words of a tag, as in `2.9-cuda12.8-base`.
_NOT_TORCH_ITSELF = frozenset(
    {"base", "build", "builder", "deps", "artifacts", "wheel", "wheels", "sbom", "docs", "report"}
)
_KEPT = 4096  # repositories: those of a host are asked about at every change
_OF_THE_TAG = "tag"  # the fact: whoever gave the tag says which torch is in it


def of_names(image: model.Image) -> Iterator[model.Evidence]:
    """The strongest sign that any of the image's names gives; the first one where several are equal."""
    parsed = [tags.parse(reference) for reference in image.all_references]
    refuted = frozenset(_path(tag) for tag in parsed if _is_exception(tag))
    named = [(tag.repository, found) for tag in parsed if (found := _of_name(tag, refuted))]
    if named:
        repository, best = min(named, key=lambda one: _STRONGEST_FIRST.index(one[1].strength))
        pulled = best.strength is _STRONG and (image.origin or "").startswith(f"{repository}@")
        # A tag can be set by hand; a digest that proves an origin comes from a registry. On the containerd store
        # every tag has a digest, and none proves anything.
        text = best.text + ", with a digest of it" if pulled else best.text
        yield sign(best.kind, best.strength, text, best.fact)


def is_vendors(repository: str) -> bool:
    """Whether a vendor publishes it, here or behind a mirror: nobody on this host chose its name."""
    name = repository.lower()
    return name.startswith(_VENDORS) or _publisher(name) is not None or _mirrored_path(name) != ""


def _of_name(tag: tags.Tag, refuted: frozenset[str]) -> model.Evidence | None:
    repository = tag.repository.lower()
    if _is_lookalike(repository):
        return None
    if (path := _path(tag)) in refuted:
        return sign("name", _WEAK, f"name {_shown(tag)}, beside a tag of it that has no torch")
    if (known := _repository(tag)) is not None and (tag.tag or path not in _EXCEPTIONS):
        return sign("repository", known.strength, f"repository {repository}", known.fact or "")
    if (strength := _convention(tag)) is not None:
        return sign("repository", strength, f"name {_shown(tag)}, as the convention has it")
    if (publisher := _publisher(repository)) is not None:
        return sign("repository", publisher.strength, f"repository {repository}", publisher.fact or "")
    return _hint(tag, repository, path)


def _hint(tag: tags.Tag, repository: str, path: str) -> model.Evidence | None:
    if tag.scheme == "framework":
        return sign("name", _MEDIUM, f"name {_shown(tag)} tells torch's version", _OF_THE_TAG)
    if path:  # by a digest alone, or a mirror: anybody can push there
        return sign("repository", _MEDIUM, f"repository {repository}", _FACTS[path])
    if "torch" in repository or "torch" in tag.tag.lower():
        return sign("name", _WEAK, f"name {_shown(tag)}")
    return None


def _convention(tag: tags.Tag) -> model.Strength | None:
    """`org/pytorch:<version>-cuda<version>` is what teams are told to use; with rocm or cpu it is a hint.

    So it is where another word says that it may be what torch is built on or from, or a file about it.
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
    """The entry for exactly this repository, of those that mean some tags the one that means this tag."""
    found = _BY_NAME.get(tag.repository.lower(), ())
    return next((entry for entry in found if _means(entry.tags, tag)), None)


def _means(glob: str | None, tag: tags.Tag) -> bool:
    return glob is None or globs.glob(glob, tag.tag.lower())


@lru_cache(_KEPT)
def _is_lookalike(repository: str) -> bool:
    return any(entry.pattern.fullmatch(repository) for entry in LISTS.lookalikes)


@lru_cache(_KEPT)
def _publisher(repository: str) -> entries.Publisher | None:
    return next((entry for entry in LISTS.publishers if entry.pattern.fullmatch(repository)), None)


def _is_exception(tag: tags.Tag) -> bool:
    return any(_means(glob, tag) for glob in _EXCEPTIONS.get(_path(tag), ()) if tag.tag)


def _path(tag: tags.Tag) -> str:
    """The path that a well-known repository and its mirrors have in common; "" for any other name."""
    repository = tag.repository.lower()
    if repository in _BY_NAME:
        return _without_registry(repository) if _without_registry(repository) in _FACTS else ""
    return _mirrored_path(repository)


@lru_cache(_KEPT)
def _mirrored_path(repository: str) -> str:
    """The path of a well-known repository that this one ends with, behind another registry or folder; "" for none."""
    parts = repository.rsplit("/", _DEEPEST + 1)
    paths = ("/".join(parts[start:]) for start in range(1, len(parts)))
    return next((path for path in paths if path in _FACTS), "")


def _without_registry(repository: str) -> str:
    registry, _, path = repository.partition("/")
    return path if "." in registry else repository


def _grouped(found: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key, value in found:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}


_BY_NAME = {
    name: tuple(entry for entry in LISTS.repositories if entry.name == name)
    for name in {entry.name for entry in LISTS.repositories}
}
# Path -> what it rests on. A repository only some of whose tags are meant proves nothing for a mirror.
_FACTS = {_without_registry(entry.name): entry.fact or "" for entry in LISTS.repositories if entry.tags is None}
_DEEPEST = max(path.count("/") for path in _FACTS)
_EXCEPTIONS = _grouped((_without_registry(entry.name), entry.tags) for entry in LISTS.exceptions)
_VENDORS = (
    *sorted({entry.name.rpartition("/")[0] + "/" for entry in LISTS.repositories}),
    *(entry.name for entry in LISTS.vendors),
)
