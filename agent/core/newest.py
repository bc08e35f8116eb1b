"""The newest images of each line of builds, which `keep_newest` keeps.

A line is one repository, one scheme of versions, one flavour and one major version of the accelerator: a `devel` build
for CUDA 12 does not outdate a `runtime` build for CUDA 11. Tags without a version are in no line.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from agent.core import apart, rules, tags
from agent.core.model import Image, Policy, Verdict

Line = tuple[str, str, str, str]  # repository, scheme, flavour, accelerator
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_MAJOR = re.compile(r"[a-z]+[0-9]*")


@dataclass(frozen=True, slots=True)
class _Build:
    """One reference that tells a version."""

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
        """Rises from old to new."""
        accelerator = tuple(int(number) for number in re.findall(r"[0-9]+", self.accelerator))
        created = self.image.details.created if self.image.details else None
        return self.tag.version, accelerator, created or _BEGINNING, self.image.id


@dataclass(frozen=True, slots=True)
class Kept:
    """The newest images of each line."""

    why: Mapping[str, str]  # image ID -> why it is kept
    failures: Mapping[str, str]  # image ID -> why its names cannot be read


def kept(images: Iterable[Image], verdicts: Mapping[str, Verdict], policy: Policy) -> Kept:
    if not policy.keep_newest and not any(rule.keep_newest for rule in policy.rules):
        return Kept({}, {})
    found, failures = apart.each(images, lambda image: tuple(_builds(image, verdicts.get(image.id), policy)))
    lines: dict[Line, list[_Build]] = {}
    for line, build in chain.from_iterable(found.values()):
        lines.setdefault(line, []).append(build)
    why: dict[str, str] = {}
    for builds in lines.values():
        why |= _newest(builds, policy)
    return Kept(why, failures)


def _builds(image: Image, verdict: Verdict | None, policy: Policy) -> Iterable[tuple[Line, _Build]]:
    """The builds that an image is, each with its line; none where it is not recognised as PyTorch."""
    if verdict is None or not rules.recognised(image, verdict, policy):
        return
    for reference in image.references:
        tag = tags.parse(reference)
        if tag.version is not None:
            build = _Build(image, reference, tag, tag.accelerator or verdict.accelerator or "")
            yield build.line, build


def _newest(builds: list[_Build], policy: Policy) -> dict[str, str]:
    """Of one line. An image with several names in it takes one place."""
    found: dict[str, str] = {}
    places: dict[str, int] = {}
    for build in sorted(builds, key=lambda build: build.age, reverse=True):
        place = places.setdefault(build.image.id, len(places))
        count = rules.keep_newest(build.reference, policy)
        if place < count:
            found.setdefault(build.image.id, _clause(build, count))
    return found


def _clause(build: _Build, count: int) -> str:
    which = "the newest" if count == 1 else f"among the newest {count}"
    kind = ", ".join(part for part in build.line[2:] if part)
    return f"{build.reference} is {which} of {build.tag.repository}" + (f" ({kind})" if kind else "")
