"""Find image names that mislead: people may mistake the image for another one, or cannot distinguish two images.

Rules (stable IDs, for programs):
outside-convention  no name of the image follows `org/framework:version-cuda<version>`
look-alike          names that differ only by decoration, or a CPU build and a CUDA build with indistinguishable names
tag-contradicts     a tag names another torch or accelerator than the image's own ENV
many-names          one image under several repositories, or under more than FEW_TAGS tags
single-sign         not about a name: an image counts as PyTorch by one sign alone, so a person should check it

The convention does not apply to images of vendors, because nobody on this host can rename them. Images without a name
are not linted. Of very many names only the first are compared, because anybody who can push an image can give it
thousands of names.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agent.core import text
from agent.core.images import isolation
from agent.core.lint import contradictions, names
from agent.core.lint.names import ParsedName
from agent.core.model import Class, Image, Verdict
from agent.core.pytorch import deciding

K = TypeVar("K")

OUTSIDE_CONVENTION = "outside-convention"
LOOK_ALIKE = "look-alike"
TAG_CONTRADICTS = "tag-contradicts"
MANY_NAMES = "many-names"
SINGLE_SIGN = "single-sign"
WAY_OUT = "if that is wrong, add it to images.exclude or pin it; if it is right, add it to images.known"
FEW_TAGS = 3
NAMES_READ = 20  # names of one image that are compared
MOST_COMPARED = 64  # keys of one group of names; each is compared with each


@dataclass(frozen=True, slots=True)
class Finding:
    """One misleading name. The explanation is a printable line of bounded length that does not repeat the reference."""

    image_id: str
    reference: str  # the name that the finding is about; if it is about all names of the image, the first
    rule: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LintedImage:
    """Everything that the rules need about one image."""

    image: Image
    verdict: Verdict
    names: tuple[ParsedName, ...]  # sorted, never empty
    names_left: int  # how many more names the image has, which are not compared
    built_for: str | None  # the accelerator; None if it is unknown
    contradictions: tuple[tuple[ParsedName, str], ...]  # each name that contradicts ENV, with an explanation

    @property
    def is_cpu(self) -> bool | None:
        return None if self.built_for is None else self.built_for == "cpu"


_Members = Sequence[tuple[LintedImage, ParsedName]]


def find(images: Iterable[Image], verdicts: Mapping[str, Verdict]) -> tuple[Finding, ...]:
    """All findings about images of class `pytorch` or `ambiguous`, sorted by reference, image and rule.

    `verdicts` maps image ID -> verdict, as `classify.classify` returns them. The order of the images does not matter.
    """
    prepared, _ = isolation.each(images, lambda image: _prepare(image, verdicts.get(image.id)))
    linted = [one for one in prepared.values() if one is not None]
    findings = {finding for rule in _RULES for finding in rule(linted)}
    return tuple(sorted(findings, key=lambda one: (one.reference, one.image_id, one.rule, one.explanation)))


def warnings_by_image(findings: Iterable[Finding]) -> dict[str, tuple[str, ...]]:
    """Image ID -> its findings as text, in the given order: `look-alike: lab/torch:1 differs from lab/pytorch ...`.

    A single sign is not a warning: the image's evidence already shows it, and many good images have only one.
    """
    warnings: dict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.rule == SINGLE_SIGN:
            continue
        line = f"{finding.rule}: {text.shown(finding.reference)} {finding.explanation}"
        warnings[finding.image_id].append(line)
    return {image_id: tuple(lines) for image_id, lines in warnings.items()}


def _prepare(image: Image, verdict: Verdict | None) -> LintedImage | None:
    """Everything that the rules need about one image; None for an image that is not linted."""
    if verdict is None or verdict.kind is Class.OTHER or image.details is None:
        return None
    ordered = sorted(image.references)
    parsed = tuple(name for name in map(names.parse, ordered[:NAMES_READ]) if name.last)
    if not parsed:
        return None
    return LintedImage(
        image=image,
        verdict=verdict,
        names=parsed,
        names_left=max(0, len(ordered) - NAMES_READ),
        built_for=contradictions.built_for(image.details, verdict),
        contradictions=tuple(
            (name, "; ".join(clauses))
            for name in parsed
            if (clauses := contradictions.contradictions(name, image.details, verdict))
        ),
    )


def _outside_convention(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    outside = [one for one in linted if _is_outside(one)]
    suggestions = [names.suggest(one.names[0], one.verdict.torch_version, one.built_for) for one in outside]
    taken = Counter(suggestions) + Counter(name.reference for one in linted for name in one.names)
    for one, suggestion in zip(outside, suggestions, strict=True):
        first = one.names[0]
        why = f"does not follow {names.CONVENTION}: it lacks {text.joined(names.missing_parts(first))}"
        if suggestion is not None:
            clash = taken[suggestion] > 1  # of two images with one name, the first would lose it
            why += f"; name it {suggestion}" + "-SUFFIX, because another image has or would get that name" * clash
        yield Finding(one.image.id, first.reference, OUTSIDE_CONVENTION, why)


def _is_outside(one: LintedImage) -> bool:
    """Whether none of the names follows the convention.

    An ambiguous image may be anything, so the convention applies to it only if one of its names means PyTorch.
    """
    if any(name.vendors or not names.missing_parts(name) for name in one.names):
        return False
    return one.verdict.kind is Class.PYTORCH or any(name.words == names.PYTORCH for name in one.names)


def _decorated(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    """Find names like pytorch-gpu, gpu-pytorch and pytorch_cuda beside each other or beside pytorch."""
    for group in _groups(linted, _same_words):
        plain = {name.last for _, name in group if not name.alias}
        kept = plain if len(plain) == 1 else set()  # the name that the others should have
        look_alikes = _look_alikes(
            (((name.last, one.is_cpu), name.repository) for one, name in group),
            # `gpu` in a name is useful if it distinguishes a CUDA build from a build for CPUs.
            lambda mine, other: mine[0] != other[0] and {mine[1], other[1]} != {True, False},
        )
        for one, name in group:
            others = look_alikes.get((name.last, one.is_cpu), "")
            if others and name.last not in kept:
                why = f"differs from {others} only by decoration or order"
                first = next(other for other in one.names if other.repository == name.repository)
                yield Finding(one.image.id, first.reference, LOOK_ALIKE, f"{why}; keep one of these names")


def _same_words(name: ParsedName) -> tuple[object, ...]:
    """A key for `_groups`: names with the same words.

    Names of PyTorch itself are compared across a registry, other names only within one folder: `train` of one team is
    not `train` of another.
    """
    return (name.registry if name.words == names.PYTORCH else name.folder, name.words)


def _cpu_beside_cuda(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    """Find a CPU build and a GPU build of the same torch version in one folder, with names that do not show which."""
    known = [one for one in linted if one.built_for is not None and one.verdict.torch_version is not None]
    for group in _groups(known, lambda name: (name.folder, tuple(word for word in name.words if word != "cpu"))):
        look_alikes = _look_alikes(
            (((one.verdict.torch_version or "", one.is_cpu), name.reference) for one, name in group),
            lambda mine, other: mine[1] != other[1] and contradictions.same_version(mine[0], other[0]),
        )
        for one, name in group:
            others = look_alikes.get((one.verdict.torch_version or "", one.is_cpu), "")
            if others and not _shows_accelerator(one, name):
                why = f"is torch {one.verdict.torch_version} for {one.built_for} beside {others}"
                why += f", and the name does not show it; put {one.built_for} into the tag"
                yield Finding(one.image.id, name.reference, LOOK_ALIKE, why)


def _shows_accelerator(one: LintedImage, name: ParsedName) -> bool:
    """Whether the name of a CPU build shows `cpu`, or the name of a GPU build shows a GPU."""
    if one.is_cpu:
        return "cpu" in (name.tag.accelerator, *name.words)
    return name.tag.accelerator is not None or name.decorated or "gpu" in name.tag.tag.lower()


def _tag_contradicts(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    for one in linted:
        for name, explanation in one.contradictions:
            yield Finding(one.image.id, name.reference, TAG_CONTRADICTS, explanation)


def _many_names(linted: Sequence[LintedImage]) -> Iterator[Finding]:
    """Find images with many names. The same path in several registries counts as one: a push requires such tags."""
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
    """The names that share a key, each with its image, in one list per key. Names of vendors are left out."""
    groups: dict[object, list[tuple[LintedImage, ParsedName]]] = defaultdict(list)
    for one in linted:
        for name in one.names:
            if not name.vendors:
                groups[key(name)].append((one, name))
    return list(groups.values())


def _look_alikes(members: Iterable[tuple[K, str]], is_alike: Callable[[K, K], bool]) -> dict[K, str]:
    """Each key -> the names of all keys that are like it, as a list for people; "" if there are none.

    `members` are pairs of a key and a name. Only the first MOST_COMPARED keys are compared.
    """
    by_key: dict[K, set[str]] = defaultdict(set)
    for key, name in sorted(members, key=lambda member: member[1]):
        if key in by_key or len(by_key) < MOST_COMPARED:
            by_key[key].add(name)
    return {
        mine: text.listed(name for other, others in by_key.items() if is_alike(mine, other) for name in others)
        for mine in by_key
    }
