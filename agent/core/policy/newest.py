"""The newest images of each series of builds, which `keep_newest` keeps.

A series is one repository, one version scheme, one flavour and one major version of the accelerator: a `devel` build
for CUDA 12 does not outdate a `runtime` build for CUDA 11. Its builds are ordered by version. A pre-release is kept if
it is among the newest of all builds, and does not count when the newest releases are chosen.

Tags without a version form series of their own, ordered by build time, so that a vendor's `server-cuda-v2` is kept as
well. In these, an image with an unknown build time is always kept, and does not count when the newest are chosen.
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

Series = tuple[str, str, str, str]  # repository, scheme, flavour, accelerator
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_FIRST_BUILD = datetime(2013, 1, 1, tzinfo=UTC)  # Docker's first year: an earlier time is a constant of a builder
_MAJOR = re.compile(r"[a-z]+[0-9]*")


@dataclass(frozen=True, slots=True)
class _Build:
    """One name of an image, as a build of a series."""

    image: Image
    reference: str
    tag: tags.Tag
    accelerator: str

    @property
    def series(self) -> Series:
        major = _MAJOR.match(self.accelerator)
        return self.tag.repository, self.tag.scheme, self.tag.flavour, major[0] if major else ""

    @property
    def age(self) -> tuple[object, ...]:
        """A key that increases from old to new builds; only for a tag with a version."""
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
    """The newest images of all series."""

    why: Mapping[str, str]  # image ID -> why it is kept
    failures: Mapping[str, str]  # image ID -> why its names cannot be read


def kept(images: Iterable[Image], verdicts: Mapping[str, Verdict], policy: Policy) -> Kept:
    """The images that `keep_newest` of the policy and of its rules keeps."""
    if not policy.keep_newest and not any(rule.keep_newest for rule in policy.rules):
        return Kept({}, {})
    by_image, failures = isolation.each(images, lambda image: tuple(_builds(image, verdicts.get(image.id), policy)))
    builds_of: dict[Series, list[_Build]] = {}
    for series, build in chain.from_iterable(by_image.values()):
        builds_of.setdefault(series, []).append(build)
    why: dict[str, str] = {}
    for builds in builds_of.values():
        by_version = builds[0].tag.version is not None
        why |= _newest(_ranked(builds) if by_version else _ranked_by_time(builds), policy)
    return Kept(why, failures)


def unread(image: Image) -> tuple[str, ...]:
    """The names of an image without a version in the tag, if no other tag in the same repository has one."""
    parsed = {reference: tags.parse(reference) for reference in image.references}
    versioned = {tag.repository for tag in parsed.values() if tag.version is not None}
    return tuple(
        reference for reference, tag in parsed.items() if tag.version is None and tag.repository not in versioned
    )


def _builds(image: Image, verdict: Verdict | None, policy: Policy) -> Iterable[tuple[Series, _Build]]:
    """One build for each name of an image, with its series; none if it is not recognised as PyTorch."""
    if verdict is None or not rules.recognised(image, verdict, policy):
        return
    opaque = unread(image)
    for reference in image.references:
        tag = tags.parse(reference)
        if tag.version is not None or reference in opaque:
            build = _Build(image, reference, tag, _accelerator(tag.accelerator or "", verdict.accelerator or ""))
            yield build.series, build


def _accelerator(named: str, own: str) -> str:
    """The accelerator in the tag, else the image's own, also if the tag has it without a version, like `rocm`."""
    return own if not named or (named.isalpha() and own.startswith(named)) else named


def _newest(ranked: Iterable[tuple[_Build, int]], policy: Policy) -> dict[str, str]:
    """Image ID -> why it is kept, for one series, given each build with its rank."""
    why: dict[str, str] = {}
    for build, rank in ranked:
        count = rules.keep_newest(build.reference, policy)
        if rank < count:
            why.setdefault(build.image.id, _clause(build, count))
    return why


def _ranked(builds: list[_Build]) -> Iterator[tuple[_Build, int]]:
    """Each build with its rank: the number of newer images; for a release, of newer releases if that is less."""
    ranks: dict[str, int] = {}
    releases: dict[str, int] = {}
    for build in sorted(builds, key=lambda build: build.age, reverse=True):
        rank = ranks.setdefault(build.image.id, len(ranks))
        if build.is_release:
            rank = min(rank, releases.setdefault(build.image.id, len(releases)))
        yield build, rank


def _ranked_by_time(builds: list[_Build]) -> Iterator[tuple[_Build, int]]:
    """Each build with its rank by build time. Builds of the same moment have the same rank."""
    times = {build.image.id: build.built for build in builds}
    ranks: dict[datetime | None, int] = {}
    for newer, built in enumerate(sorted((built for built in times.values() if built is not None), reverse=True)):
        ranks.setdefault(built, newer)
    for build in sorted(builds, key=lambda build: build.image.id):
        yield build, ranks.get(build.built, 0)


def _clause(build: _Build, count: int) -> str:
    which = "the newest" if count == 1 else f"among the newest {count}"
    kind = ", ".join(part for part in build.series[2:] if part)
    of = f"{which} of {build.tag.repository}" + (f" ({kind})" if kind else "")
    if build.tag.version is not None:
        return f"{build.reference} is {of}"
    if build.built is None:
        return f"the tag of {build.reference} has no version and its build time is unknown, so it may be {of}"
    return f"the tag of {build.reference} has no version; by build time it is {of}"
