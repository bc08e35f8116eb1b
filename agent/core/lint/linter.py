"""Names that mislead: what people would take for something else, or cannot tell from its neighbour. And doubts.

Rules (stable words, for programs):
outside-convention  no name of the image follows `org/framework:version-cuda<version>`
look-alike          names that differ only by decoration, or a CPU build beside a CUDA build that the names do not tell
tag-contradicts     a tag says another torch or accelerator than the image's own ENV
many-names          one image under several repositories, or under more than FEW_TAGS tags
single-sign         an image that counts as PyTorch by one sign and nothing else, so that it can be looked at in time

What a vendor publishes is held to no convention: nobody here can rename it. Images without a name are not linted. Of
very many names only the first are compared, for anybody who can push an image can give it thousands.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agent.core import text
from agent.core.images import isolation
from agent.core.lint import contradictions as claims
from agent.core.lint import names
from agent.core.lint.names import ParsedName
from agent.core.model import Class, Image, Verdict
from agent.core.pytorch import deciding

K = TypeVar("K")

OUTSIDE_CONVENTION = "outside-convention"
LOOK_ALIKE = "look-alike"
TAG_CONTRADICTS = "tag-contradicts"
MANY_NAMES = "many-names"
SINGLE_SIGN = "single-sign"
WAY_OUT = "if that is wrong, name it in images.exclude or pin it; if it is right, list it in images.known"
FEW_TAGS = 3
NAMES_READ = 20  # of one image
MOST_COMPARED = 64  # spellings or versions of one family, each with each


@dataclass(frozen=True, slots=True)
class Finding:
    """One name that misleads. The explanation is a printable line, without the reference, and bounded in length."""

    image_id: str
    reference: str  # of several names the one that it is about, or the first
    rule: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LintedImage:
    """An image that is linted."""

    image: Image
    verdict: Verdict
    names: tuple[ParsedName, ...]  # sorted, never empty
    names_left: int  # names that are not read
    built_for: str | None
    contradictions: tuple[tuple[ParsedName, str], ...]  # names that say something else than the image, and what

    @property
    def is_cpu(self) -> bool | None:
        return None if self.built_for is None else self.built_for == "cpu"


_Members = Sequence[tuple[LintedImage, ParsedName]]


def find(images: Iterable[Image], verdicts: Mapping[str, Verdict]) -> tuple[Finding, ...]:
    """All findings on images of class `pytorch` or `ambiguous`, by reference, image and rule.

    `verdicts` maps image ID -> verdict, as `classify.classify` gives them. The order of the images does not matter.
    """
    read, _ = isolation.each(images, lambda image: _named(image, verdicts.get(image.id)))
    linted = [one for one in read.values() if one is not None]
    found = {finding for rule in _RULES for finding in rule(linted)}
    return tuple(sorted(found, key=lambda one: (one.reference, one.image_id, one.rule, one.explanation)))


def warnings_by_image(findings: Iterable[Finding]) -> dict[str, tuple[str, ...]]:
    """Image ID -> its findings in words, in their order: `look-alike: lab/torch:1 differs from lab/pytorch ...`.

    A single sign is no warning: an image's evidence says as much, and many a good image has no second one.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.rule == SINGLE_SIGN:
            continue
        line = f"{finding.rule}: {text.shown(finding.reference)} {finding.explanation}"
        found[finding.image_id].append(line)
    return {image_id: tuple(warnings) for image_id, warnings in found.items()}


def _named(image: Image, verdict: Verdict | None) -> LintedImage | None:
    """All that the rules ask of one image. They compare what stands here, and read nothing more."""
    if verdict is None or verdict.kind is Class.OTHER or image.details is None:
        return None
    ordered = sorted(image.references)
    known = tuple(name for name in map(names.parse, ordered[:NAMES_READ]) if name.last)
    if not known:
        return None
    return LintedImage(
        image=image,
        verdict=verdict,
        names=known,
        names_left=max(0, len(ordered) - NAMES_READ),
        built_for=claims.built_for(image.details, verdict),
        contradictions=tuple(
            (name, "; ".join(found)) for name in known if (found := claims.contradictions(name, image.details, verdict))
        ),
    )


def _outside_convention(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    outside = [one for one in linted if _is_outside(one)]
    proposals = [names.suggest(one.names[0], one.verdict.torch_version, one.built_for) for one in outside]
    taken = Counter(proposals) + Counter(name.reference for one in linted for name in one.names)
    for one, proposed in zip(outside, proposals, strict=True):
        first = one.names[0]
        why = f"does not follow {names.CONVENTION}: it lacks {text.joined(names.missing_parts(first))}"
        if proposed is not None:
            clash = taken[proposed] > 1  # two images under one name: the first one would lose it
            why += f"; name it {proposed}" + "-SUFFIX, for another image has or would get that name" * clash
        yield Finding(one.image.id, first.reference, OUTSIDE_CONVENTION, why)


def _is_outside(one: LintedImage) -> bool:
    """An ambiguous image may be anything, so it is held to the convention only where its name says PyTorch."""
    if any(name.vendors or not names.missing_parts(name) for name in one.names):
        return False
    return one.verdict.kind is Class.PYTORCH or any(name.words == names.PYTORCH for name in one.names)


def _decorated(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    """pytorch-gpu, gpu-pytorch and pytorch_cuda beside each other or beside pytorch."""
    for family in _groups(linted, _kin):
        plain = {name.last for _, name in family if not name.alias}
        kept = plain if len(plain) == 1 else set()  # the name that the others should have
        beside = _neighbours(
            (((name.last, one.is_cpu), name.repository) for one, name in family),
            # `gpu` is worth its place where it tells a CUDA build from one for CPUs.
            lambda mine, other: mine[0] != other[0] and {mine[1], other[1]} != {True, False},
        )
        for one, name in family:
            others = beside.get((name.last, one.is_cpu), "")
            if others and name.last not in kept:
                why = f"differs from {others} only by decoration or order"
                first = next(known for known in one.names if known.repository == name.repository)
                yield Finding(one.image.id, first.reference, LOOK_ALIKE, f"{why}; keep one of these names")


def _kin(name: ParsedName) -> tuple[object, ...]:
    """PyTorch itself is looked for over a whole registry; `train` of one team is not that of another."""
    return (name.registry if name.words == names.PYTORCH else name.folder, name.words)


def _cpu_beside_cuda(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    """A CPU build and one for GPUs of the same version in one organisation, under names that do not tell."""
    told = [one for one in linted if one.built_for is not None and one.verdict.torch_version is not None]
    for family in _groups(told, lambda name: (name.folder, tuple(word for word in name.words if word != "cpu"))):
        beside = _neighbours(
            (((one.verdict.torch_version or "", one.is_cpu), name.reference) for one, name in family),
            lambda mine, other: mine[1] != other[1] and claims.same_version(mine[0], other[0]),
        )
        for one, name in family:
            others = beside.get((one.verdict.torch_version or "", one.is_cpu), "")
            if others and not _tells(one, name):
                why = f"is torch {one.verdict.torch_version} for {one.built_for} beside {others}"
                why += f", and the name does not tell; say {one.built_for} in the tag"
                yield Finding(one.image.id, name.reference, LOOK_ALIKE, why)


def _tells(one: LintedImage, name: ParsedName) -> bool:
    """Whether a name tells that a build is for CPUs, or that it is not."""
    if one.is_cpu:
        return "cpu" in (name.tag.accelerator, *name.words)
    return name.tag.accelerator is not None or name.decorated or "gpu" in name.tag.tag.lower()


def _tag_contradicts(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    for one in linted:
        for name, found in one.contradictions:
            yield Finding(one.image.id, name.reference, TAG_CONTRADICTS, found)


def _many_names(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    """The same path behind several registries is one name: whoever pushes an image must tag it so."""
    for one in linted:
        repositories = {name.path for name in one.names}
        tagged = {(name.path, name.tag.tag) for name in one.names}
        if len(repositories) > 1 or len(tagged) > FEW_TAGS:
            more = " or more" if one.names_left else ""
            where = f"{len(repositories)}{more} repositories" if len(repositories) > 1 else f"{len(tagged)}{more} tags"
            why = f"is one image under {where}: {text.listed(name.reference for name in one.names)}"
            yield Finding(one.image.id, one.names[0].reference, MANY_NAMES, why)


def _single_sign(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    for one in linted:
        if deciding.single(one.verdict):
            why = f"counts as PyTorch by one sign alone: {deciding.phrase(one.verdict)}"
            yield Finding(one.image.id, one.names[0].reference, SINGLE_SIGN, f"{why}; {WAY_OUT}")


_RULES = (_outside_convention, _decorated, _cpu_beside_cuda, _tag_contradicts, _many_names, _single_sign)


def _groups(linted: Iterable[LintedImage], key: Callable[[ParsedName], object]) -> list[_Members]:
    """The names that share a key, each with its image; vendors' names are in none."""
    found: dict[object, list[tuple[LintedImage, ParsedName]]] = defaultdict(list)
    for one in linted:
        for name in one.names:
            if not name.vendors:
                found[key(name)].append((one, name))
    return list(found.values())


def _neighbours(members: Iterable[tuple[K, str]], beside: Callable[[K, K], bool]) -> dict[K, str]:
    """Each key -> the names under all keys that stand beside it, listed; "" for none. Of many keys only the first."""
    found: dict[K, set[str]] = defaultdict(set)
    for key, name in sorted(members, key=lambda member: member[1]):
        if key in found or len(found) < MOST_COMPARED:
            found[key].add(name)
    return {
        mine: text.listed(name for other, known in found.items() if beside(mine, other) for name in known)
        for mine in found
    }
