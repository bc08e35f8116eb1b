"""The newest images of each line of builds, which `keep_newest` keeps.

A line is one repository, one scheme of versions, one flavour and one major version of the accelerator: a `devel` build
for CUDA 12 does not outdate a `runtime` build for CUDA 11. Its builds are ordered by version. A pre-release is kept
where it is among the newest of all, and takes no release's place.

Tags that tell no version have lines of their own, ordered by build time, so that a vendor's `server-cuda-v2` is kept
as well. An image whose build time is not known is kept there, and takes no place.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from agent.core.images import isolation, tags
from agent.core.model import Image, Verdict
from agent.core.policy import rules
from agent.core.policy.settings import Policy

Line = tuple[str, str, str, str]  # repository, scheme, flavour, accelerator
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_FIRST_BUILD = datetime(2013, 1, 1, tzinfo=UTC)  # Docker is not older: an earlier time is a builder's constant
_MAJOR = re.compile(r"[a-z]+[0-9]*")


@dataclass(frozen=True, slots=True)
class _Build:
    """One name of an image, in its line."""

    image: Image
    reference: str
    tag: tags.Tag
    accelerator: str

    @property
    def line(self) -> Line:
        major = _MAJOR.match(self.accelerator)
        return self.tag.repository, self.tag.scheme, self.tag.flavour, major[0] if major else ""

    @property
    def age(self) -> tuple[object, ...]:
        """Rises from old to new; only where the tag tells a version."""
        accelerator = tuple(int(number) for number in re.findall(r"[0-9]+", self.accelerator))
        created = self.image.details.created if self.image.details else None
        return self.tag.version, accelerator, created or _BEGINNING, self.image.id

    @property
    def is_release(self) -> bool:
        return self.tag.version is not None and not self.tag.version.is_prerelease

    @property
    def built(self) -> datetime | None:
        created = self.image.details.created if self.image.details else None
        return created if created is not None and created >= _FIRST_BUILD else None


@dataclass(frozen=True, slots=True)
class Kept:
    """The newest images of each line."""

    why: Mapping[str, str]  # image ID -> why it is kept
    failures: Mapping[str, str]  # image ID -> why its names cannot be read


def kept(images: Iterable[Image], verdicts: Mapping[str, Verdict], policy: Policy) -> Kept:
    if not policy.keep_newest and not any(rule.keep_newest for rule in policy.rules):
        return Kept({}, {})
    found, failures = isolation.each(images, lambda image: tuple(_builds(image, verdicts.get(image.id), policy)))
    lines: dict[Line, list[_Build]] = {}
    for line, build in chain.from_iterable(found.values()):
        lines.setdefault(line, []).append(build)
    why: dict[str, str] = {}
    for builds in lines.values():
        by_version = builds[0].tag.version is not None
        why |= _newest(_ranked(builds) if by_version else _ranked_by_time(builds), policy)
    return Kept(why, failures)


def unread(image: Image) -> tuple[str, ...]:
    """The names of an image whose tags tell no version, and that are not beside one that tells it."""
    parsed = {reference: tags.parse(reference) for reference in image.references}
    told = {tag.repository for tag in parsed.values() if tag.version is not None}
    return tuple(reference for reference, tag in parsed.items() if tag.version is None and tag.repository not in told)


def _builds(image: Image, verdict: Verdict | None, policy: Policy) -> Iterable[tuple[Line, _Build]]:
    """The builds that an image is, each with its line; none where it is not recognised as PyTorch."""
    if verdict is None or not rules.recognised(image, verdict, policy):
        return
    opaque = unread(image)
    for reference in image.references:
        tag = tags.parse(reference)
        if tag.version is not None or reference in opaque:
            build = _Build(image, reference, tag, _accelerator(tag.accelerator or "", verdict.accelerator or ""))
            yield build.line, build


def _accelerator(named: str, own: str) -> str:
    """What the tag names, else what the image tells; that also where the tag says `rocm` without a number."""
    return own if not named or (named.isalpha() and own.startswith(named)) else named


def _newest(ranked: Iterable[tuple[_Build, int]], policy: Policy) -> dict[str, str]:
    """Of one line. An image with several names in it takes one place."""
    found: dict[str, str] = {}
    for build, place in ranked:
        count = rules.keep_newest(build.reference, policy)
        if place < count:
            found.setdefault(build.image.id, _clause(build, count))
    return found


def _ranked(builds: list[_Build]) -> Iterator[tuple[_Build, int]]:
    """Each build with the number of images that outdate it: of newer ones, and for a release of newer releases."""
    places: dict[str, int] = {}
    releases: dict[str, int] = {}
    for build in sorted(builds, key=lambda build: build.age, reverse=True):
        place = places.setdefault(build.image.id, len(places))
        if build.is_release:
            place = min(place, releases.setdefault(build.image.id, len(releases)))
        yield build, place


def _ranked_by_time(builds: list[_Build]) -> Iterator[tuple[_Build, int]]:
    """The same by build time. What was built at the same moment does not outdate each other."""
    times = {build.image.id: build.built for build in builds}
    places: dict[datetime | None, int] = {}
    for newer, built in enumerate(sorted((built for built in times.values() if built is not None), reverse=True)):
        places.setdefault(built, newer)
    for build in sorted(builds, key=lambda build: build.image.id):
        yield build, places.get(build.built, 0)


def _clause(build: _Build, count: int) -> str:
    which = "the newest" if count == 1 else f"among the newest {count}"
    kind = ", ".join(part for part in build.line[2:] if part)
    of = f"{which} of {build.tag.repository}" + (f" ({kind})" if kind else "")
    if build.tag.version is not None:
        return f"{build.reference} is {of}"
    if build.built is None:
        return f"{build.reference} tells no version, and its build time is not known, so it may be {of}"
    return f"{build.reference} tells no version; by build time it is {of}"
