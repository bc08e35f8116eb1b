"""Matches the patterns of the settings with the references of an image.

An image's references are its tags (`team/pytorch:2.9`) and its digest references (`team/pytorch@sha256:...`).

- A pattern without `@` is a glob on `repository:tag`, and its `*` also matches `/`. It matches a digest reference if it
  matches the repository alone, or matches it once a tag part that is only `*` is removed: `*/prod/*`, `*/prod/*:*` and
  `team/pytorch:*` match digest references, `team/pytorch:2.9*` does not.
- A pattern with `@` is a glob on the whole digest reference and matches no tag.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

WILDCARDS = "*?["
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,128}")
_TAGGED = re.compile(r".*/[^/]*:[^/]*|[^/:*?\[]+:[^/:*?\[]+")  # a colon at these places separates a tag, not a port


@dataclass(frozen=True, slots=True)
class Match:
    """A pattern and a reference that it matches."""

    pattern: str
    reference: str


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def glob(pattern: str, text: str) -> bool:
    """Whether a glob matches a whole text. Case counts."""
    return _regex(pattern).match(text) is not None


def matches(pattern: str, reference: str) -> bool:
    """Whether a pattern matches a tag or a digest reference."""
    repository, at, _ = reference.partition("@")
    if "@" in pattern:
        return bool(at) and glob(pattern, reference)
    if not at:
        return glob(pattern, reference)
    return glob(pattern, repository) or glob(_without_any_tag(pattern), repository)


def first_match(patterns: Iterable[str], references: Iterable[str]) -> Match | None:
    """The first reference that one of the patterns matches, with that pattern; None if there is none."""
    patterns = tuple(patterns)
    all_matches = (Match(pattern, one) for one in references for pattern in patterns if matches(pattern, one))
    return next(all_matches, None)


def tag_part(text: str) -> str:
    """The tag of a pattern or a reference; "" if it has none."""
    return text.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _without_any_tag(pattern: str) -> str:
    """The pattern, without its tag part if that is only `*`."""
    tag = tag_part(pattern)
    return pattern[: -len(tag) - 1] if tag and not tag.strip("*") else pattern


def repository(reference: str) -> str:
    """The repository of a tag or a digest reference, including the registry."""
    name, at, _ = reference.partition("@")
    return name if at else name.rpartition(":")[0]


def standalone(references: Iterable[str]) -> tuple[str, ...]:
    """The tags, and those digest references whose repository has no tag.

    Docker gives a tagged image digest references in the same repository: always with the containerd store, and after a
    pull or a push with a graph driver. Those only repeat the tag.
    """
    references = tuple(references)
    tagged = {repository(one) for one in references if "@" not in one}
    return tuple(one for one in references if "@" not in one or repository(one) not in tagged)


def why_no_digest(pattern: str) -> str:
    """Why a pattern with `@` cannot match any digest reference; "" if it can."""
    name, _, digest = pattern.partition("@")
    if _TAGGED.fullmatch(name):
        return f"a digest reference has no tag: write {name[: -len(tag_part(name)) - 1]}@{digest}"
    if not _DIGEST.fullmatch(digest) and not any(sign in digest for sign in WILDCARDS):
        return f"it contains no complete digest; write all its digits, or {name}@sha256:*"
    return ""
