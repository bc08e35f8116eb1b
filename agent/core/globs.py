"""Patterns of the settings, and the references of an image that they match.

An image's references are its tags (`team/pytorch:2.9`) and its digest references (`team/pytorch@sha256:...`).

- A pattern without `@` is a glob on `repository:tag`; `*` crosses `/`. It also matches a digest reference where it
  matches the repository alone, or where its tag part is only `*`: `*/prod/*`, `*/prod/*:*` and `team/pytorch:*` match
  digest references, `team/pytorch:2.9*` does not.
- A pattern with `@` is a glob on the whole digest reference and matches no tag.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

WILDCARDS = "*?["
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,128}")
_TAGGED = re.compile(r".*/[^/]*:[^/]*|[^/:*?\[]+:[^/:*?\[]+")  # no port can stand there, so it is a tag


@dataclass(frozen=True, slots=True)
class Match:
    """A pattern, and the reference that it matches."""

    pattern: str
    reference: str


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def glob(pattern: str, text: str) -> bool:
    """Whether a glob matches a whole text, case and all."""
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
    """The first reference that any of the patterns matches, with that pattern."""
    patterns = tuple(patterns)
    found = (Match(pattern, one) for one in references for pattern in patterns if matches(pattern, one))
    return next(found, None)


def tag_part(text: str) -> str:
    """The tag of a pattern or a reference; "" where it has none."""
    return text.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _without_any_tag(pattern: str) -> str:
    """The pattern without a tag part that matches every tag."""
    tag = tag_part(pattern)
    return pattern[: -len(tag) - 1] if tag and not tag.strip("*") else pattern


def repository(reference: str) -> str:
    """The repository of a tag or a digest reference, with its registry."""
    name, at, _ = reference.partition("@")
    return name if at else name.rpartition(":")[0]


def standalone(references: Iterable[str]) -> tuple[str, ...]:
    """The tags, and the digest references of repositories that none of the tags is in.

    The engine gives a tagged image digest references of the same repository: always on the containerd store, after a
    pull or a push on a graph driver. Those only repeat the tag.
    """
    references = tuple(references)
    tagged = {repository(one) for one in references if "@" not in one}
    return tuple(one for one in references if "@" not in one or repository(one) not in tagged)


def why_no_digest(pattern: str) -> str:
    """Why a pattern with `@` can match no digest reference; "" where it can."""
    name, _, digest = pattern.partition("@")
    if _TAGGED.fullmatch(name):
        return f"a digest reference has no tag: write {name[: -len(tag_part(name)) - 1]}@{digest}"
    if not _DIGEST.fullmatch(digest) and not any(sign in digest for sign in WILDCARDS):
        return f"no digest looks like that: write it whole, or {name}@sha256:*"
    return ""
